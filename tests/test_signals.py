"""Signals: a handler runs and the wait goes on to the same deadline (PEP 475); what it raises ends the wait."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest
from helpers import drain, fill, wait_until, wait_until_asleep

from posix_ipc_swig import BusyError, raw

FAR = raw.timespec(int(time.time()) + 100_000)
RECEIVING = {
    "receive": lambda queue: queue.receive(),
    "receive with a timeout": lambda queue: queue.receive(timeout=3600),
    "iterate": lambda queue: next(iter(queue)),
}
SENDING = {
    "send": lambda queue: queue.send("hello"),
    "send with a timeout": lambda queue: queue.send("hello", timeout=3600),
}
RAW_RECEIVING = {
    "mq_receive": lambda queue: raw.mq_receive(queue.mqd, 64),
    "mq_timedreceive": lambda queue: raw.mq_timedreceive(queue.mqd, 64, FAR),
}
RAW_SENDING = {
    "mq_send": lambda queue: raw.mq_send(queue.mqd, b"hello", 0),
    "mq_timedsend": lambda queue: raw.mq_timedsend(queue.mqd, b"hello", 0, FAR),
}
MAIN = threading.main_thread().native_id


class Stop(Exception):
    """What a handler raises."""


@contextlib.contextmanager
def signals_while_main_waits(number, came, release, times=1):
    """Send a signal to the main thread while it sleeps, `times` over, each once the one before was handled.

    Then, or when anything goes wrong, release() ends the wait.
    """
    problems = []

    def send_signals():
        try:
            for count in range(times):
                wait_until(lambda: len(came) == count)  # noqa: B023 # it is called before the next turn
                wait_until_asleep("self", MAIN)
                signal.pthread_kill(threading.main_thread().ident, number)
            wait_until(lambda: len(came) == times)
            wait_until_asleep("self", MAIN)
        except BaseException as error:  # for the main thread, which waits
            problems.append(error)
        finally:
            release()

    thread = threading.Thread(target=send_signals)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not problems, problems


@pytest.mark.parametrize("call", RECEIVING.values(), ids=RECEIVING)
def test_a_handler_runs_while_receive_waits_and_the_wait_goes_on(queue, reopen, handle_signal, call):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    other = reopen(queue)
    with signals_while_main_waits(signal.SIGUSR1, came, lambda: other.send("hello"), times=3):
        assert call(queue) == (b"hello", 0)
        assert came == [signal.SIGUSR1] * 3


@pytest.mark.parametrize("call", SENDING.values(), ids=SENDING)
def test_a_handler_runs_while_send_waits_and_the_wait_goes_on(queue, reopen, handle_signal, call):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    other = reopen(queue)
    messages = fill(queue)
    with signals_while_main_waits(signal.SIGUSR1, came, lambda: other.receive(0), times=3):
        call(queue)
        assert came == [signal.SIGUSR1] * 3
    assert [message for message, _ in drain(queue)] == [*messages[1:], b"hello"]


@pytest.mark.parametrize("sending", [False, True], ids=["receive", "send"])
def test_signals_neither_shorten_nor_extend_a_timeout(queue, handle_signal, sending):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    if sending:
        fill(queue)
    over = threading.Event()

    def send_signals():
        # Were the timeout to start again with each signal, the wait would end with the last one only.
        for _ in range(3000):
            if over.wait(0.01):
                return
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    thread = threading.Thread(target=send_signals)
    start = time.monotonic()
    thread.start()
    try:
        with pytest.raises(BusyError):
            queue.send("hello", timeout=0.5) if sending else queue.receive(timeout=0.5)
        elapsed = time.monotonic() - start
    finally:
        over.set()
        thread.join()
    assert 0.5 <= elapsed < 20
    assert len(came) > 1


EVERY_RECEIVING = {**RECEIVING, **RAW_RECEIVING}
EVERY_SENDING = {**SENDING, **RAW_SENDING}


@contextlib.contextmanager
def one_signal(number, queue, release):
    """One signal while the main thread waits; release() ends the wait if that did not."""
    ended = threading.Event()
    problems = []

    def send_signal():
        try:
            wait_until_asleep("self", MAIN)
            signal.pthread_kill(threading.main_thread().ident, number)
        except BaseException as error:
            problems.append(error)
        if not ended.wait(30):
            problems.append("the wait went on")
            release()

    thread = threading.Thread(target=send_signal)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not problems, problems


@pytest.mark.parametrize("call", EVERY_RECEIVING.values(), ids=EVERY_RECEIVING)
def test_what_a_handler_raises_ends_a_receive_as_itself(queue, reopen, handle_signal, call):
    def stop(number, frame):
        raise Stop("from the handler")

    handle_signal(signal.SIGUSR1, stop)
    other = reopen(queue)
    with one_signal(signal.SIGUSR1, queue, lambda: other.send("late")):
        with pytest.raises(Stop, match="from the handler") as caught:
            call(queue)
        assert caught.value.__context__ is None
    queue.send("still in order")
    assert drain(queue) == [(b"still in order", 0)]


@pytest.mark.parametrize("call", EVERY_SENDING.values(), ids=EVERY_SENDING)
def test_what_a_handler_raises_ends_a_send_as_itself(queue, reopen, handle_signal, call):
    def stop(number, frame):
        raise Stop("from the handler")

    handle_signal(signal.SIGUSR1, stop)
    other = reopen(queue)
    messages = fill(queue)
    with one_signal(signal.SIGUSR1, queue, lambda: other.receive(0)):
        with pytest.raises(Stop, match="from the handler") as caught:
            call(queue)
        assert caught.value.__context__ is None
    assert [message for message, _ in drain(queue)] == messages


@pytest.mark.parametrize("call", EVERY_RECEIVING.values(), ids=EVERY_RECEIVING)
def test_ctrl_c_ends_every_receiving_call(queue, reopen, handle_signal, call):
    handle_signal(signal.SIGINT, signal.default_int_handler)
    other = reopen(queue)
    with one_signal(signal.SIGINT, queue, lambda: other.send("late")), pytest.raises(KeyboardInterrupt):
        call(queue)
    assert queue.current_messages == 0


@pytest.mark.parametrize("call", EVERY_SENDING.values(), ids=EVERY_SENDING)
def test_ctrl_c_ends_every_sending_call(queue, reopen, handle_signal, call):
    handle_signal(signal.SIGINT, signal.default_int_handler)
    other = reopen(queue)
    messages = fill(queue)
    with one_signal(signal.SIGINT, queue, lambda: other.receive(0)), pytest.raises(KeyboardInterrupt):
        call(queue)
    assert [message for message, _ in drain(queue)] == messages


@pytest.mark.parametrize("call", RAW_RECEIVING.values(), ids=RAW_RECEIVING)
def test_a_raw_receive_ends_with_interrupted_error_after_the_handler(queue, reopen, handle_signal, call):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    other = reopen(queue)
    with one_signal(signal.SIGUSR1, queue, lambda: other.send("late")):
        with pytest.raises(InterruptedError):
            call(queue)
        assert came == [signal.SIGUSR1]


@pytest.mark.parametrize("call", RAW_SENDING.values(), ids=RAW_SENDING)
def test_a_raw_send_ends_with_interrupted_error_after_the_handler(queue, reopen, handle_signal, call):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    other = reopen(queue)
    fill(queue)
    with one_signal(signal.SIGUSR1, queue, lambda: other.receive(0)):
        with pytest.raises(InterruptedError):
            call(queue)
        assert came == [signal.SIGUSR1]
    assert queue.current_messages == 4


@pytest.mark.parametrize("timeout", [None, 3600])
def test_a_handler_may_end_the_wait_itself(queue, reopen, handle_signal, timeout):
    other = reopen(queue)
    handle_signal(signal.SIGUSR1, lambda number, frame: other.send("from the handler"))
    with one_signal(signal.SIGUSR1, queue, lambda: other.send("late")):
        assert queue.receive(timeout) == (b"from the handler", 0)


@pytest.mark.parametrize("timeout", [None, 3600])
def test_a_handler_may_close_the_handle_that_waits(queue, reopen, handle_signal, timeout):
    """Who waits keeps the queue until the wait ends."""
    came = []
    handle = reopen(queue)
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(handle.close()))
    with signals_while_main_waits(signal.SIGUSR1, came, lambda: queue.send("hello")):
        assert handle.receive(timeout) == (b"hello", 0)
    assert handle.closed


def test_the_signal_of_a_notification_reaches_a_process_that_waits_elsewhere(queue, make_queue, reopen, handle_signal):
    came = []
    elsewhere = make_queue()

    def tell(number, frame):
        came.append(queue.receive(0))
        elsewhere.send("it came")

    handle_signal(signal.SIGUSR1, tell)
    queue.request_notification(signal.SIGUSR1)
    other = reopen(queue)
    thread = threading.Thread(target=lambda: (wait_until_asleep("self", MAIN), other.send("hello")))
    thread.start()
    try:
        assert elsewhere.receive(timeout=60) == (b"it came", 0)
    finally:
        thread.join()
    assert came == [(b"hello", 0)]
