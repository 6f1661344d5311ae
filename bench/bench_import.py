"""How long does it take to start Python and import the library?"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from functools import partial

import pytest
from cases import BARE, OURS, PEER, RAW, Case, Target
from peers import PEERS, Channel

CASES = [
    Case(
        "import",
        "import",
        "a start of Python",
        "none",
        size=0,
        target=Target("import, over a bare interpreter", over_floor=0.003),
    )
]


class Start:
    """A Python that starts, runs a line and ends."""

    def __init__(self, version: str, module: str | None, case: Case) -> None:
        self.version = version
        self.samples: list[int] = []
        if module is not None and importlib.util.find_spec(module) is None:
            raise ImportError(f"No module named {module!r}")
        # Isolated: the folder that it starts in is no source tree.
        self.command = [sys.executable, "-I", "-c", "pass" if module is None else f"import {module}"]

    def round(self, times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            subprocess.run(self.command, check=True)
        return (time.perf_counter() - start) / times

    def close(self) -> None:
        pass


def start(subject: str, module: str):
    def make(case: Case) -> Start:
        return Start(PEERS[subject].version(), module, case)

    return make


MODULES = {
    PEER: "posix_ipc",
    OURS: "posix_ipc_swig",
    RAW: "posix_ipc_swig.raw",
    "ipcqueue": "ipcqueue.posixmq",
    "python-posixipc": "posixipc",
    "multiprocessing.Pipe": "multiprocessing.connection",
    "multiprocessing.Queue": "multiprocessing.queues",
    "pyzmq ipc": "zmq",
}
SUBJECTS = {
    BARE: partial(Start, Channel.version(), None),
    **{subject: start(subject, module) for subject, module in MODULES.items()},
}


@pytest.mark.rounds(4)
def test_import(report, case, subject):
    report(case, subject)
