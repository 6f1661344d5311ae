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

# Each Python's own pip: the newest one that runs on the first need not run on the others.
for version in $PYTHONS; do
    "python$version" -m venv /tmp/pip
    /tmp/pip/bin/pip install --quiet --upgrade pip
    # pip and tox too: --save-wheelhouse has what --no-index needs to come this far.
    /tmp/pip/bin/pip wheel --quiet --wheel-dir wheels pip tox --requirement requirements.txt
    # A peer of the benchmarks that cannot be had here is left out there, and the report says so.
    while read -r peer; do
        /tmp/pip/bin/pip wheel --quiet --wheel-dir wheels --no-deps "$peer" || echo "no $peer for Python $version here"
    done <peers.txt
    rm -r /tmp/pip
done
echo "no-index = true" >>/etc/pip.conf
