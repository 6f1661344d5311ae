"""What is measured: our MessageQueue, our raw bindings, posix_ipc, and the C loop.

A subject is made for one case and then gives rounds: round() does a number of pairs of send and receive on a queue of
its own, and returns the seconds that one pair took.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

FLOOR = "C loop"
PEER = "posix_ipc"


@dataclass(frozen=True)
class Case:
    """One question: the size of a message in bytes, and the timeout of both calls in seconds, or None."""

    size: int
    timeout: int | None

    @property
    def name(self) -> str:
        return f"{self.size} bytes, " + ("no timeout" if self.timeout is None else f"timeout={self.timeout}")


class Module:
    """A module that has posix_ipc's MessageQueue."""

    def __init__(self, module: str, distribution: str, case: Case, iterations: int) -> None:
        library = importlib.import_module(module)
        self.version = importlib.metadata.version(distribution)
        self.queue = library.MessageQueue(None, library.O_CREX, max_messages=2, max_message_size=max(case.size, 1))
        self.queue.unlink()
        self.case = case
        self.iterations = range(iterations)

    def round(self) -> float:
        queue, message, timeout = self.queue, b"x" * self.case.size, self.case.timeout
        gc.disable()
        start = time.perf_counter()
        if timeout is None:
            for _ in self.iterations:
                queue.send(message)
                queue.receive()
        else:
            for _ in self.iterations:
                queue.send(message, timeout=timeout)
                queue.receive(timeout=timeout)
        end = time.perf_counter()
        gc.enable()
        return (end - start) / len(self.iterations)

    def close(self) -> None:
        self.queue.close()


class Raw:
    """Our raw bindings: one SWIG wrapper around one system call."""

    def __init__(self, case: Case, iterations: int) -> None:
        from posix_ipc_swig import MessageQueue, raw

        self.version = importlib.metadata.version("posix_ipc_swig")
        self.raw = raw
        self.case = case
        self.size = max(case.size, 1)
        with_name = MessageQueue(None, raw.O_CREAT | raw.O_EXCL, max_messages=2, max_message_size=self.size)
        self.queue = with_name
        with_name.unlink()
        self.iterations = range(iterations)

    def round(self) -> float:
        send, receive = self.raw.mq_send, self.raw.mq_receive
        timed_send, timed_receive, timespec = self.raw.mq_timedsend, self.raw.mq_timedreceive, self.raw.timespec
        mqd, message, size, timeout = self.queue.mqd, b"x" * self.case.size, self.size, self.case.timeout
        clock = time.time
        gc.disable()
        start = time.perf_counter()
        if timeout is None:
            for _ in self.iterations:
                send(mqd, message, 0)
                receive(mqd, size)
        else:
            for _ in self.iterations:
                timed_send(mqd, message, 0, timespec(int(clock()) + timeout))
                timed_receive(mqd, size, timespec(int(clock()) + timeout))
        end = time.perf_counter()
        gc.enable()
        return (end - start) / len(self.iterations)

    def close(self) -> None:
        self.queue.close()


class Loop:
    """The C loop: compiled on the spot, driven round by round."""

    def __init__(self, program: Path, case: Case, iterations: int) -> None:
        self.version = compiler_version()
        self.process = subprocess.Popen(
            [str(program), str(case.size), str(iterations), *([] if case.timeout is None else [str(case.timeout)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def round(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the C loop ended with status {self.process.wait()}")
        return float(line) * 1e-9

    def close(self) -> None:
        self.process.communicate()


def compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiler_version() -> str:
    """Return the first line that the compiler says of itself."""
    path = compiler()
    if path is None:
        return "no C compiler"
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def compile_loop(folder: Path) -> Path:
    """Compile the C loop into a folder; return the program."""
    program = folder / "loop"
    source = Path(__file__).resolve().parent / "loop.c"
    path = compiler()
    if path is None:
        raise FileNotFoundError("there is no C compiler")
    subprocess.run([path, "-O2", "-o", str(program), str(source), "-lrt"], check=True)
    return program
