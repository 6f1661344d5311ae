#!/bin/sh
# Debian and Ubuntu.
set -eu

export DEBIAN_FRONTEND=noninteractive
packages="ca-certificates gcc libc6-dev strace util-linux"
for version in $PYTHONS; do
    packages="$packages python$version python$version-dev python$version-venv"
done
apt-get update
# An image that breaks half-way is thrown away, so dpkg need not sync every file.
# shellcheck disable=SC2086  # a list
apt-get install --yes --no-install-recommends --option Dpkg::Options::=--force-unsafe-io $packages
rm -rf /var/lib/apt/lists/*

# Ubuntu's image has a user of its own with this number.
if id ubuntu >/dev/null 2>&1; then userdel --remove ubuntu; fi
useradd --create-home --uid 1000 tester
