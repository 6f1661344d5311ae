"""Plain helpers of tests/posix: real processes and threads, and waiting for events."""

from __future__ import annotations

import ast
import contextlib
import os
import platform
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import LIMIT, Running, wait_until

from posix_ipc_swig import raw

ATTR = raw.mq_attr(mq_maxmsg=4, mq_msgsize=32)
PAST = raw.timespec(1)
GLIBC = platform.libc_ver()[0] == "glibc"
NOBODY = 65534
CREATE = raw.O_RDWR | raw.O_CREAT | raw.O_EXCL

# mq_timedsend(2), mq_timedreceive(2): what a thread in mq_send() or mq_receive() waits in.
_GENERIC = {"182", "183"}
_WAITING_CALLS = {"x86_64": {"242", "243"}, "aarch64": _GENERIC, "riscv64": _GENERIC}.get(platform.machine())


@contextlib.contextmanager
def fails(number):
    """The call inside fails with this errno."""
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == number


def soon(seconds=LIMIT):
    """A deadline on the wall clock."""
    return at(time.time_ns() + int(seconds * 10**9))


def at(nanoseconds):
    """Nanoseconds since the epoch as a timespec."""
    return raw.timespec(*divmod(nanoseconds, 10**9))


def count(mqd):
    return raw.mq_getattr(mqd).mq_curmsgs


def fill(mqd):
    """Send as many messages as the queue takes; return them."""
    messages = [b"filler %d" % number for number in range(raw.mq_getattr(mqd).mq_maxmsg)]
    for message in messages:
        raw.mq_send(mqd, message, 0)
    return messages


def drain(mqd):
    """Receive all that the queue holds."""
    attr = raw.mq_getattr(mqd)
    return [raw.mq_receive(mqd, attr.mq_msgsize) for _ in range(attr.mq_curmsgs)]


def signal_me(number, value=0):
    return raw.sigevent(sigev_notify=raw.SIGEV_SIGNAL, sigev_signo=number, sigev_value=value)


def wait_until_blocked(pid, tid):
    """Return once a thread waits in the kernel's mq_timedsend() or mq_timedreceive()."""
    task = Path(f"/proc/{pid}/task/{tid}")
    looks = []

    def blocked():
        if _WAITING_CALLS is not None:
            with contextlib.suppress(PermissionError):
                return (task / "syscall").read_text().split()[0] in _WAITING_CALLS
        # The call cannot be seen: asleep, and nothing happened between five looks.
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        looks.append((status["State"].split()[0], status["voluntary_ctxt_switches"]))
        return looks[-1][0] == "S" and len(looks) > 4 and len(set(looks[-5:])) == 1

    wait_until(blocked)


class Call(Running):
    """A function that runs in a thread of its own, and may wait in the kernel."""

    def wait_until_blocked(self):
        wait_until_blocked("self", self._thread.native_id)


class Peer:
    """Another process, which runs the lines of Python that it is sent. `raw` and the names below are there."""

    PROGRAM = """
import ctypes, errno, os, resource, select, signal, stat, struct, subprocess, sys, threading, time
from posix_ipc_swig import raw

libc = ctypes.CDLL(None, use_errno=True)

def block(*signals):
    # From now on these are kept until somebody asks for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

def next_signal(number, seconds=30):
    # (si_code, si_int) of a blocked signal, from the kernel's struct signalfd_siginfo; None when it does not come.
    mask = (ctypes.c_ubyte * 128)()
    libc.sigemptyset(mask)
    libc.sigaddset(mask, int(number))
    fd = libc.signalfd(-1, mask, 0)
    try:
        if not select.select([fd], [], [], seconds)[0]:
            return None
        info = os.read(fd, 128)
        return struct.unpack_from("=i", info, 8) + struct.unpack_from("=i", info, 44)
    finally:
        os.close(fd)

def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)

def limit(what, soft):
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

def may_raise(what, hard):
    try:
        resource.setrlimit(what, (hard, hard))
    except ValueError:  # so says the module of EPERM
        return False
    return True

def drop_capabilities():
    # capset(2), version 3: nothing is left to override permissions or limits with.
    header = struct.pack("=Ii", 0x20080522, 0)
    if libc.capset(ctypes.create_string_buffer(header), ctypes.create_string_buffer(24)):
        raise OSError(ctypes.get_errno(), "capset")

def sysctl(name, value):
    with open("/proc/sys/fs/mqueue/" + name, "w") as file:
        file.write(str(value))

def answer(source):
    try:
        try:
            code = compile(source, "peer", "eval")
        except SyntaxError:
            exec(compile(source, "peer", "exec"), globals())
            return ("value", None)
        return ("value", eval(code, globals()))
    except OSError as error:
        return ("errno", error.errno, repr(error))
    except BaseException as error:
        return ("error", repr(error))

# sys.stdin would read ahead of a fork.
with os.fdopen(0, "rb", buffering=0) as requests:
    os.write(1, b"'ready'\\n")
    while line := requests.readline():
        names, source = eval(line)
        globals().update(names)
        os.write(1, repr(answer(source)).encode() + b"\\n")
"""

    def __init__(self, prefix=(), **names):
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-I", "-c", self.PROGRAM],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        assert self._read() == "ready"
        self.do("None", **names)

    def _read(self):
        readable, _, _ = select.select([self._process.stdout], [], [], LIMIT)
        assert readable, "the other process does not answer"
        return ast.literal_eval(self._process.stdout.readline().decode())

    def start(self, source, **names):
        """Send it a line to run, after setting these names there."""
        self._process.stdin.write(repr((names, source)).encode() + b"\n")
        self._process.stdin.flush()

    def result(self):
        """Return the value of the last line; an OSError there is an OSError here."""
        kind, *outcome = self._read()
        assert kind != "error", outcome
        if kind == "errno":
            raise OSError(*outcome)
        return outcome[0]

    def do(self, source, **names):
        self.start(source, **names)
        return self.result()

    def wait_until_blocked(self, thread=None):
        """Return once it waits in a call; `thread` is what says the id of the one that does, if not the first."""
        wait_until_blocked(self.pid, self.pid if thread is None else self.do(thread))

    def signal(self, number):
        os.kill(self.pid, number)

    def exit(self):
        """End the process; what it holds is closed by the kernel alone."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
