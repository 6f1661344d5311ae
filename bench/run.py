"""Run the benchmarks with limits that let every case run, save the figures, and print the table of targets.

Figures go to .benchmarks/, where bench-compare finds them. Arguments are pytest's, and those of bench/conftest.py.
"""

from __future__ import annotations

import datetime
import os
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import posix_ipc_swig
from posix_ipc_swig._limits import sysctl

FOLDER = Path(__file__).resolve().parent
SAVED = FOLDER.parent / ".benchmarks"
# What the cases want: bytes a message, and bytes of all queues of a user.
WANTED = {"msgsize_max": 1048576, "msg_max": 10}
WANTED_BYTES = 16 * 1048576
INSIDE = "POSIX_IPC_SWIG_BENCH_INSIDE"


def raise_limits() -> None:
    """Raise what this process may, in an IPC namespace of its own: nobody else's settings change."""
    for name, value in WANTED.items():
        if (sysctl(name) or 0) < value:
            with suppress(OSError):
                Path(f"/proc/sys/fs/mqueue/{name}").write_text(str(value))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (WANTED_BYTES, WANTED_BYTES))


def enter_namespace() -> None:
    """Start again in an IPC namespace of this run's own, where that is allowed; else go on in this one."""
    unshare = shutil.which("unshare")
    if unshare is None or INSIDE in os.environ:
        return
    for command in ([unshare, "--ipc"], [unshare, "--user", "--map-root-user", "--ipc"]):
        probe = f"echo {WANTED['msgsize_max']} > /proc/sys/fs/mqueue/msgsize_max"
        if subprocess.run([*command, "sh", "-c", probe], capture_output=True, check=False).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execv(command[0], [*command, sys.executable, *sys.argv])


def main() -> int:
    enter_namespace()
    if INSIDE in os.environ:
        raise_limits()
    size = sysctl("msgsize_max")
    _, most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    print(f"posix_ipc_swig {posix_ipc_swig.VERSION}; limits: fs.mqueue.msgsize_max={size}, RLIMIT_MSGQUEUE={most}")
    SAVED.mkdir(exist_ok=True)
    saved = SAVED / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}.json"
    pytest = str(Path(sys.executable).with_name("pytest"))
    command = [pytest, str(FOLDER), "-q", "-rs", "-p", "no:cacheprovider", f"--benchmark-json={saved}", *sys.argv[1:]]
    status = subprocess.run(command, check=False).returncode
    if saved.exists():
        print(f"saved: {saved}")
    return status


if __name__ == "__main__":
    sys.exit(main())
