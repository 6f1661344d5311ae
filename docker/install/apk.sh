#!/bin/sh
# Alpine: one Python, and venv comes with it. BusyBox's unshare has too few options.
set -eu

apk add --no-cache ca-certificates gcc musl-dev python3 python3-dev strace util-linux

adduser -D -u 1000 tester
