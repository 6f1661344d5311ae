"""Signals: a storm of them leaves timeouts exact and loses nothing; what a handler raises comes out as itself."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest
from helpers import LIMIT, drain, fill, full_count, wait_until, wait_until_asleep

from posix_ipc_swig import BusyError, MessageQueue

MAIN = threading.main_thread().native_id

SEND_NUMBERS = """
import sys
from posix_ipc_swig import MessageQueue

with MessageQueue(sys.argv[1]) as queue:
    for number in range(int(sys.argv[2])):
        queue.send(str(number))
"""

STORM = """
import os, signal, sys, time

victim, *numbers = map(int, sys.argv[1:])
print("ready", flush=True)
try:
    while True:
        for number in numbers:
            os.kill(victim, number)
        time.sleep(0.0001)  # faster than handlers run, they would nest until Python's stack ends
except ProcessLookupError:
    pass
"""


@pytest.fixture
def storm(start_python, handle_signal):
    """Signals from other processes, thousands a second; the list of what the handler counted."""
    came = [0]

    def handler(number, frame):
        came[0] += 1

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        handle_signal(number, handler)

    @contextlib.contextmanager
    def blow():
        senders = [start_python(STORM, os.getpid(), *numbers) for numbers in ((10, 12), (12, 10))]
        for sender in senders:
            assert sender.stdout.readline() == "ready\n"
        wait_until(lambda: came[0] > 100)
        try:
            yield came
        finally:
            for sender in senders:
                sender.kill()
                sender.wait()

    return blow


WAITS = {
    "receive": lambda queue, timeout: queue.receive(timeout),
    "receive_many": lambda queue, timeout: queue.receive_many(None, timeout),
    "receive_into": lambda queue, timeout: queue.receive_into(bytearray(64), timeout),
    "send": lambda queue, timeout: queue.send("x", timeout),
    "send_many": lambda queue, timeout: queue.send_many(["x", "y"], timeout),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_timeouts_are_exact_to_50_ms_in_a_storm(queue, storm, wait, request):
    if "send" in request.node.callspec.id:
        fill(queue)
    best = {}
    with storm() as came:
        for timeout in (0.0, 0.001, 0.02, 0.1, 0.3):
            before = came[0]
            # A machine that runs other things may hold up a try; what is wrong holds up all.
            for _ in range(5):
                start = time.monotonic()
                with pytest.raises(BusyError):
                    wait(queue, timeout)
                late = time.monotonic() - start - timeout
                assert late >= 0
                best[timeout] = min(late, best.get(timeout, late))
                if late < 0.05:
                    break
        assert came[0] > before
    assert max(best.values()) < 0.05, best


def test_a_storm_loses_no_message(queue, reopen, storm, start_python, finish):
    total = full_count(3000, 100_000)
    back = start_python(
        SEND_NUMBERS,
        queue.name,
        total,
    )
    received = []
    with storm():
        while len(received) < total:
            kind = len(received) % 3
            if kind == 0:
                received.append(queue.receive())
            elif kind == 1:
                received.append(queue.receive(60))
            else:
                received.extend(queue.receive_many())
    finish(back)
    assert [int(message) for message, _ in received] == list(range(total))


def test_a_storm_loses_no_message_that_is_sent(queue, storm, start_thread):
    total = full_count(3000, 100_000)
    other = MessageQueue(queue.name)
    thread = start_thread(lambda: [int(other.receive(60)[0]) for _ in range(total)])
    with storm():
        number = 0
        while number < total:
            if number % 3:
                queue.send(str(number), None if number % 2 else 60)
                number += 1
            else:
                number += queue.send_many([str(n) for n in range(number, min(total, number + 5))])
    assert thread.result() == list(range(total))
    other.close()


class Stop(Exception):
    """What a handler raises."""


def stop(number, frame):
    raise Stop(number)


def disturbed(queue, call, number):
    """Run a call that waits in the main thread; a thread sends the signal once it sleeps."""
    problems = []

    def disturb():
        try:
            wait_until_asleep("self", MAIN)
            signal.pthread_kill(threading.main_thread().ident, number)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        call()
    finally:
        thread.join()
        assert not problems, problems


@pytest.mark.parametrize("timeout", [None, 3600])
@pytest.mark.parametrize(("number", "error"), [(signal.SIGUSR1, Stop), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_what_a_handler_raises_ends_every_wait_as_itself(queue, handle_signal, request, wait, number, error, timeout):
    handle_signal(number, stop if error is Stop else signal.default_int_handler)
    before = fill(queue) if "send" in request.node.callspec.id else []
    with pytest.raises(error) as caught:
        disturbed(queue, lambda: wait(queue, timeout), number)
    assert type(caught.value) is error
    assert caught.value.__context__ is None
    assert [message for message, _ in drain(queue)] == before


def test_ctrl_c_in_the_midst_of_a_batch_says_how_much_was_sent(make_queue, handle_signal):
    queue = make_queue(max_messages=3)
    handle_signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt) as caught:
        disturbed(queue, lambda: queue.send_many(["a", "b", "c", "d", "e"]), signal.SIGINT)
    assert caught.value.sent == 3
    assert [message for message, _ in drain(queue)] == [b"a", b"b", b"c"]


class Calls:
    """Calls of one method in one go: no handler runs but in the method itself, and what it returned is kept."""

    def __init__(self, method, *arguments):
        self.returned, self.carried, self.raised = [], [], 0
        self._inside = False
        self._method, self._arguments = method, arguments

    def interrupt(self, number, frame):
        if self._inside:
            self._inside = False
            self.raised += 1
            raise Stop(number)

    def run(self, times):
        """Call so many times, or until a handler raises."""
        arguments = [[argument] * times for argument in self._arguments]
        try:
            try:
                self._inside = True
                self.returned.extend(map(self._method, *arguments))
            finally:
                self._inside = False
        except Stop as error:  # after the last call, perhaps, and then it carries nothing
            self.carried = getattr(error, "received", [])


def take(queue, way, total, handle_signals):
    """Receive so many messages; return their numbers, and how often a handler raised."""
    buffer = bytearray(64)
    arguments = {"receive": (LIMIT,), "receive_many": (None, LIMIT), "receive_into": (buffer, LIMIT)}[way]
    calls, received = Calls(getattr(queue, way), *arguments), []
    handle_signals(calls.interrupt)
    while len(received) < total:
        calls.returned, calls.carried = [], []
        buffer[:] = bytes(len(buffer))
        calls.run(min(10, total - len(received)) if way == "receive" else 1)
        if way == "receive_into":
            assert any(buffer) == bool(calls.returned), "a message came, and the call did not say so"
            received += [int(buffer[:size]) for size, _ in calls.returned]
        else:
            batches = [calls.returned] if way == "receive" else calls.returned
            received += [int(message) for batch in (*batches, calls.carried) for message, _ in batch]
    return received, calls.raised


@pytest.mark.parametrize("way", ["receive", "receive_many", "receive_into"])
def test_a_storm_whose_handler_raises_loses_no_message(queue, storm, handle_signal, start_python, finish, way):
    """What calls return, and what the errors carry, is all that was sent."""
    total = full_count(3000, 100_000)

    def handle_signals(handler):
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            handle_signal(number, handler)

    with storm():
        sender = start_python(
            SEND_NUMBERS,
            queue.name,
            total,
        )
        received, raised = take(queue, way, total, handle_signals)
    finish(sender)
    assert received == list(range(total))
    assert raised > 0


@pytest.mark.parametrize("leave", ["stop", "with"])
def test_ctrl_c_while_stop_waits_for_a_handler(queue, handle_signal, leave):
    """The wait ends as itself; the listening ends as its handler returns, and the message was handled."""
    handle_signal(signal.SIGINT, signal.default_int_handler)
    begun, done, came = threading.Event(), threading.Event(), []

    def handler(message, priority):
        begun.set()
        assert done.wait(LIMIT)
        came.append(message)

    listener = queue.listen(handler)
    queue.send("hello")
    assert begun.wait(LIMIT)

    def stop_it():
        if leave == "stop":
            listener.stop()
        else:
            with listener:
                pass

    with pytest.raises(KeyboardInterrupt):
        disturbed(queue, stop_it, signal.SIGINT)
    assert not listener.stopped
    done.set()
    assert listener.stop(LIMIT)
    assert came == [b"hello"]
