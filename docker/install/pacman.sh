#!/bin/sh
# Arch Linux: one Python, and its headers come with it. Arch supports no partial upgrades, so everything is upgraded.
set -eu

pacman --sync --refresh --sysupgrade --noconfirm --needed ca-certificates gcc python strace util-linux
pacman --sync --clean --clean --noconfirm

useradd --create-home --uid 1000 tester
