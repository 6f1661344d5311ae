"""Typing: the installed package is typed, and a type checker sees what is promised."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import posix_ipc_swig

PACKAGE = Path(posix_ipc_swig.__file__).parent

GOOD = """
from __future__ import annotations

import selectors
from typing import List, Tuple

import posix_ipc_swig as ipc
from posix_ipc_swig import BusyError, MessageQueue, raw


def both(queue: MessageQueue) -> Tuple[bytes, int]:
    queue.send("hello", timeout=1, priority=3)
    queue.send(b"hello", 0.5)
    queue.send(bytearray(b"hello"), None)
    queue.send(memoryview(b"hello"))
    message, priority = queue.receive()
    name: str = queue.name
    numbers: List[int] = [queue.mode, queue.mqd, queue.fileno(), queue.max_messages, queue.max_message_size]
    numbers.append(queue.current_messages + priority)
    flags: List[bool] = [queue.block, queue.closed, ipc.MESSAGE_QUEUES_SUPPORTED]
    queue.block = not flags[0]
    queue.request_notification()
    queue.request_notification(ipc.USER_SIGNAL_MIN)
    queue.request_notification((print, name))
    selectors.DefaultSelector().register(queue, selectors.EVENT_READ)
    for message, priority in queue:
        break
    queue.unlink()
    queue.close()
    ipc.unlink_message_queue(name)
    return message, priority


def main() -> None:
    with MessageQueue(None, ipc.O_CREX, mode=0o600, max_messages=4, max_message_size=64) as queue:
        try:
            both(queue)
        except BusyError as error:
            number: int | None = error.errno
            print(number, ipc.VERSION + ipc.__version__)
    MessageQueue(b"/bytes", read=True, write=False)


def low() -> None:
    attr = raw.mq_attr(mq_maxmsg=4, mq_msgsize=64)
    mqd: int = raw.mq_open("/name", raw.O_RDWR | raw.O_CREAT, 0o600, attr)
    raw.mq_send(mqd, b"hello", 0)
    raw.mq_timedsend(mqd, bytearray(b"hello"), 0, raw.timespec(1, 0))
    message, priority = raw.mq_receive(mqd, 64)
    message, priority = raw.mq_timedreceive(mqd, 64, raw.timespec(tv_sec=1))
    text: bytes = message + bytes(priority)
    old: raw.mq_attr = raw.mq_setattr(mqd, raw.mq_getattr(mqd))
    attr.mq_flags = old.mq_flags + len(text)
    raw.mq_notify(mqd, None)
    raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_SIGNAL, 10))
    raw.mq_close(mqd)
    raw.mq_unlink("/name")
"""

# Each line is an error of its own.
BAD = """
from posix_ipc_swig import MessageQueue, raw

queue = MessageQueue("/name")
MessageQueue(5)
queue.send(5)
queue.send("x", timeout="1")
queue.send("x", priority="1")
queue.receive("1")
text: str = queue.receive()[0]
queue.name = "/other"
queue.current_messages = 0
queue.request_notification("signal")
queue.nonsense()
raw.mq_send(3, "text", 0)
raw.mq_receive("3", 64)
raw.mq_attr(nonsense=1)
raw.timespec(tv_sec="1")
"""


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_the_c_module_has_a_stub():
    assert (PACKAGE / "_mqueue.pyi").is_file()


@pytest.fixture
def check_types(tmp_path):
    """Run mypy --strict on a program; return the lines that it finds fault with."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")

    def check(program):
        script = tmp_path / "program.py"
        script.write_text(program)
        options = ["--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
        result = subprocess.run(
            [sys.executable, "-I", "-m", "mypy", *options, script.name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert not result.stderr
        faults = [line for line in result.stdout.splitlines() if ": error:" in line]
        for fault in faults:
            assert fault.startswith("program.py:"), fault
        return {int(fault.split(":")[1]): fault for fault in faults}

    return check


def test_a_program_that_uses_the_library_well_passes_mypy_strict(check_types):
    assert check_types(GOOD) == {}


def test_a_program_that_uses_it_wrongly_does_not(check_types):
    lines = range(5, len(BAD.splitlines()) + 1)
    assert list(check_types(BAD)) == list(lines)
