"""How a subject gives rounds: round(times) does its work so many times, and returns the seconds that each took."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
import timeit
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Protocol

from cases import Case
from peers import PEERS, Channel


class LeftOut(Exception):
    """A subject that cannot be measured here, and why."""


class Subject(Protocol):
    version: str
    # Nanoseconds that single calls took, where each was timed.
    samples: list[int]

    def round(self, times: int) -> float: ...

    def close(self) -> None: ...


Maker = Callable[[Case], Subject]


def compile_timer(statement: str, names: dict[str, Any], before: str = "pass") -> timeit.Timer:
    """Return a timer of a statement to which the names are local variables."""
    setup = f"{', '.join(names)}, = values\n{before}"
    return timeit.Timer(statement, setup, timer=time.perf_counter, globals={"values": tuple(names.values())})


def each_timed(statement: str) -> str:
    """Return the statement with a clock around it."""
    return f"start = clock()\n{statement.strip()}\nadd(clock() - start)"


def clock_names(samples: list[int]) -> dict[str, Any]:
    return {"clock": time.perf_counter_ns, "add": samples.append}


class InOneProcess:
    """A statement that sends and receives here."""

    def __init__(self, subject: str, statement: str, before: str, case: Case) -> None:
        kind = PEERS[subject]
        self.version = kind.version()
        self.samples: list[int] = []
        if kind.room is not None and case.size > kind.room:
            raise LeftOut(f"{subject} holds no more than {kind.room} bytes: one process would wait for itself")
        self.channel = kind(case)
        try:
            names = {
                "receiver": self.channel.receiver(),
                "sender": self.channel.sender(),
                "message": case.message,
                "timeout": case.timeout,
                "case": case,
                **self.channel.names(),
                **clock_names(self.samples),
            }
            self.timer = compile_timer(statement, names, before)
        except BaseException:
            self.channel.close()
            raise

    def round(self, times: int) -> float:
        return self.timer.timeit(times) / times

    def close(self) -> None:
        self.channel.close()


def in_one_process(statements: dict[str, str], before: dict[str, str] | None = None) -> dict[str, Maker]:
    """Return the makers of subjects that each run a statement. before: what to run first in each round, untimed."""
    return {
        subject: partial(InOneProcess, subject, statement, (before or {}).get(subject, "pass"))
        for subject, statement in statements.items()
    }


def caught(call: str, exception: str) -> str:
    """Return the statement that makes a call and catches what it must raise."""
    return f"try:\n    {call}\nexcept {exception}:\n    pass\nelse:\n    raise AssertionError"


class Threads:
    """Statements that run at once, each in a thread of its own."""

    def __init__(self, subject: str, crowd: int) -> None:
        self.version = PEERS[subject].version()
        self.samples: list[int] = []
        self.channels: list[Channel] = []
        # A timer a thread: each has a variable of its own inside.
        self.timers: list[timeit.Timer] = []
        self.crowd = crowd

    def round(self, times: int) -> float:
        share = max(times // self.crowd, 1)
        barrier = threading.Barrier(len(self.timers) + 1)

        def run(timer: timeit.Timer) -> None:
            barrier.wait()
            # Not timeit(): it turns garbage collection off and on, which is everybody's.
            timer.inner(range(share).__iter__(), time.perf_counter)

        threads = [threading.Thread(target=run, args=(timer,)) for timer in self.timers]
        for thread in threads:
            thread.start()
        barrier.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        return (time.perf_counter() - start) / (share * self.crowd)

    def close(self) -> None:
        for channel in self.channels:
            channel.close()


class InThreads(Threads):
    """So many senders and as many receivers, on one handle."""

    def __init__(self, subject: str, send: str, receive: str, crowd: int, case: Case) -> None:
        super().__init__(subject, crowd)
        channel = PEERS[subject](case)
        self.channels.append(channel)
        names = {"message": case.message, **channel.names()}
        ends = [{"sender": channel.sender()}, {"receiver": channel.receiver()}]
        self.timers = [
            compile_timer(statement, {**end, **names})
            for _ in range(crowd)
            for statement, end in zip((send, receive), ends)
        ]


class Apart(Threads):
    """Threads that each send and receive on a handle that no other has."""

    def __init__(self, subject: str, send: str, receive: str, crowd: int, case: Case) -> None:
        super().__init__(subject, crowd)
        try:
            for _ in range(crowd):
                channel = PEERS[subject](case)
                self.channels.append(channel)
                ends = {"receiver": channel.receiver(), "sender": channel.sender()}
                names = {**ends, "message": case.message, **channel.names()}
                self.timers.append(compile_timer(f"{send}; {receive}", names))
        except BaseException:
            self.close()
            raise


class InProcesses:
    """A statement here, and one in each of `crowd` other processes that share its work.

    `there` leads from here to the others, `back` from them to here; both names stand for the end that a process has.
    """

    def __init__(self, subject: str, mine: str, theirs: str, crowd: int, case: Case) -> None:
        kind = PEERS[subject]
        self.version = kind.version()
        self.samples: list[int] = []
        if crowd > 1 and not kind.shared:
            raise LeftOut(f"{subject} has one sender and one receiver")
        self.crowd = crowd
        self.channels: dict[str, Channel] = {}
        self.processes = []
        self.lines: list[Connection] = []
        context = get_context("fork")
        try:
            for name in ("there", "back"):
                if name in mine:
                    self.channels[name] = kind(case)
            for _ in range(crowd):
                line, end = context.Pipe()
                process = context.Process(target=self._serve, args=(theirs, end, case), daemon=True)
                process.start()
                end.close()
                self.processes.append(process)
                self.lines.append(line)
            names = {**self._names(case, mine_is_here=True), **clock_names(self.samples)}
            self.timer = compile_timer(mine, names)
        except BaseException:
            self.close()
            raise

    def _names(self, case: Case, mine_is_here: bool) -> dict[str, Any]:
        names: dict[str, Any] = {"message": case.message}
        for name, channel in self.channels.items():
            sends = (name == "there") == mine_is_here
            names[name] = channel.sender() if sends else channel.receiver()
            names.update(channel.names())
        return names

    def _serve(self, statement: str, line: Connection, case: Case) -> None:
        timer = compile_timer(statement, self._names(case, mine_is_here=False))
        while True:
            try:
                times = line.recv()
            except EOFError:
                return
            line.send("ready")
            timer.timeit(times)
            line.send("done")

    def round(self, times: int) -> float:
        share = max(times // self.crowd, 1)
        for line in self.lines:
            line.send(share)
        for line in self.lines:
            line.recv()
        start = time.perf_counter()
        self.timer.timeit(share * self.crowd)
        for line in self.lines:
            line.recv()
        return (time.perf_counter() - start) / (share * self.crowd)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()
        for line in self.lines:
            line.close()
        for channel in self.channels.values():
            channel.close()


class Loop:
    """The C loop: compiled on the spot, driven round by round."""

    def __init__(self, program: Path, case: Case) -> None:
        self.version = compiler_version()
        self.samples: list[int] = []
        numbers = (case.size, case.max_messages, case.max_message_size, case.timeout or 0)
        self.process = subprocess.Popen(
            [str(program), case.work, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def round(self, times: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{times}\n")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            _, complaint = self.process.communicate()
            raise LeftOut(f"the C loop ended with status {self.process.returncode}: {complaint.strip()}")
        mean, *each = line.split()
        self.samples += map(int, each)
        return float(mean) * 1e-9

    def close(self) -> None:
        if self.process.poll() is None:
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
    assert path is not None
    subprocess.run([path, "-O2", "-o", str(program), str(source), "-lrt", "-pthread"], check=True)
    return program
