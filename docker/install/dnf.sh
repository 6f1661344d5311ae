#!/bin/sh
# Fedora and AlmaLinux.
set -eu

packages="ca-certificates gcc glibc-devel strace util-linux shadow-utils"
# rpm says on stdout that a package is not installed.
if rpm --query --quiet python3 2>/dev/null; then
    system=$(rpm --query --queryformat '%{VERSION}' python3)
else
    system=$(dnf --quiet repoquery --latest-limit 1 --queryformat '%{version}\n' python3)
fi
for version in $PYTHONS; do
    # The system's own Python has no version in its package's name.
    case $system in
        "$version".*) packages="$packages python3 python3-devel" ;;
        *) packages="$packages python$version python$version-devel" ;;
    esac
done
# shellcheck disable=SC2086  # a list
dnf --assumeyes --setopt=install_weak_deps=False install $packages
dnf clean all

useradd --create-home --uid 1000 tester
