#!/bin/sh
# openSUSE.
set -eu

packages="ca-certificates-mozilla gcc glibc-devel strace util-linux shadow gawk"
for version in $PYTHONS; do
    name=python$(echo "$version" | tr -d .)
    packages="$packages $name $name-devel"
done
# shellcheck disable=SC2086  # a list
zypper --non-interactive install --no-recommends $packages
zypper clean --all

useradd --create-home --uid 1000 tester
