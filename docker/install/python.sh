#!/bin/sh
# Every family: what pip trusts, tox, and a wheelhouse, so that a cell needs no network.
set -eu

cd /opt/matrix
mkdir -p wheels
{
    echo "[global]"
    echo "find-links = /opt/matrix/wheels"
    echo "disable-pip-version-check = true"
    if [ -s ca-bundle.pem ]; then echo "cert = /opt/matrix/ca-bundle.pem"; fi
} >/etc/pip.conf
export PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

"python${PYTHONS%% *}" -m venv /opt/tox
/opt/tox/bin/pip install --quiet --upgrade pip
/opt/tox/bin/pip install --quiet tox
for version in $PYTHONS; do
    /opt/tox/bin/pip --python "$(command -v "python$version")" wheel --quiet --wheel-dir wheels --requirement requirements.txt
done
echo "no-index = true" >>/etc/pip.conf
