"""Batches and buffers: send_many, receive_many, receive_into."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from helpers import drain, fill, type_name, wait_until_asleep

from posix_ipc_swig import BusyError, ExistentialError, PermissionsError

MAIN = threading.main_thread().native_id


# --- send_many --------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 0, 60])
def test_send_many_sends_in_order_and_returns_how_many(queue, timeout):
    assert queue.send_many(["a", b"b", bytearray(b"c")], timeout, 3) == 3
    assert drain(queue) == [(b"a", 3), (b"b", 3), (b"c", 3)]


def test_send_many_takes_any_iterable(queue):
    assert queue.send_many(str(number) for number in range(3)) == 3
    assert queue.send_many([]) == 0
    assert drain(queue) == [(b"0", 0), (b"1", 0), (b"2", 0)]


def test_send_many_that_begins_nothing_says_so(queue, reopen):
    def broken():
        yield "a"
        raise LookupError("in the midst")

    closed = reopen(queue)
    closed.close()
    for handle, messages, error in (
        (queue, broken(), LookupError),
        (queue, 5, TypeError),
        (queue, ["a", 5], TypeError),
        (queue, ["a", b"x" * (queue.max_message_size + 1)], ValueError),
        (closed, ["a"], ExistentialError),
    ):
        with pytest.raises(error) as caught:
            handle.send_many(messages)
        assert caught.value.sent == 0
    assert queue.current_messages == 0


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_send_many_sends_what_fits_in_its_time(queue, timeout):
    start = time.monotonic()
    assert queue.send_many(list("abcdef"), timeout) == 4
    assert time.monotonic() - start >= timeout
    assert [message for message, _ in drain(queue)] == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_send_many_of_nothing_in_its_time_is_a_busy_error(queue, timeout):
    messages = fill(queue)
    with pytest.raises(BusyError):
        queue.send_many(["x"], timeout)
    assert [message for message, _ in drain(queue)] == messages


@pytest.mark.parametrize("timeout", [None, 60])
def test_send_many_waits_for_room(queue, start_thread, timeout):
    batch = [str(number) for number in range(20)]
    thread = start_thread(queue.send_many, batch, timeout)
    thread.wait_until_asleep()
    assert [queue.receive(60)[0].decode() for _ in batch] == batch
    assert thread.result() == 20


def test_send_many_sends_what_fits_when_the_handle_does_not_block(queue):
    queue.block = False
    assert queue.send_many(list("abcdef")) == 4
    with pytest.raises(BusyError):
        queue.send_many(list("abcdef"))


@pytest.mark.parametrize(
    ("bad", "error"),
    [(5, TypeError), (b"x" * 65, ValueError), ("\ud800", UnicodeEncodeError), (memoryview(b"abcd")[::2], BufferError)],
    ids=["int", "too long", "lone surrogate", "not contiguous"],
)
def test_send_many_sends_nothing_when_one_is_no_message(queue, bad, error):
    good = bytearray(b"good")
    with pytest.raises(error):
        queue.send_many([good, "fine", bad])
    assert queue.current_messages == 0
    good.append(0)  # nobody holds it any more


@pytest.mark.parametrize("wrong", ["text", b"bytes", 5, None], ids=type_name)
def test_send_many_wants_messages_not_one(queue, wrong):
    with pytest.raises(TypeError):
        queue.send_many(wrong)
    assert queue.current_messages == 0


def test_what_the_iterable_raises_propagates_and_nothing_is_sent(queue):
    def messages():
        yield "first"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        queue.send_many(messages())
    assert queue.current_messages == 0


# --- receive_many -----------------------------------------------------------------------------


def test_receive_many_takes_what_is_there(queue):
    for text, priority in (("a", 1), ("b", 3), ("c", 1)):
        queue.send(text, priority=priority)
    assert queue.receive_many() == [(b"b", 3), (b"a", 1), (b"c", 1)]
    assert queue.current_messages == 0


def test_receive_many_takes_no_more_than_its_limit(queue):
    fill(queue)
    assert len(queue.receive_many(3)) == 3
    assert len(queue.receive_many(limit=10**6, timeout=0)) == 1


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_receive_many_of_nothing_is_a_busy_error(queue, timeout):
    start = time.monotonic()
    with pytest.raises(BusyError):
        queue.receive_many(None, timeout)
    assert time.monotonic() - start >= timeout


@pytest.mark.parametrize("timeout", [None, 60])
def test_receive_many_waits_for_the_first(queue, start_thread, timeout):
    thread = start_thread(queue.receive_many, 4, timeout)
    thread.wait_until_asleep()
    queue.send("hello", priority=2)
    assert thread.result() == [(b"hello", 2)]


@pytest.mark.parametrize("limit", [0, -1, -(2**64)])
def test_receive_many_wants_a_limit_of_one_or_more(queue, limit):
    queue.send("hello")
    with pytest.raises(ValueError, match="limit"):
        queue.receive_many(limit)
    assert queue.current_messages == 1


@pytest.mark.parametrize("limit", ["1", 1.0, [1]], ids=type_name)
def test_a_limit_of_a_wrong_type_is_a_type_error(queue, limit):
    queue.send("hello")
    with pytest.raises(TypeError, match="limit"):
        queue.receive_many(limit)
    assert queue.current_messages == 1


# --- receive_into -----------------------------------------------------------------------------


@pytest.mark.parametrize("room", [64, 100])
def test_receive_into_fills_a_buffer_of_the_callers(queue, room):
    buffer = bytearray(b"." * room)
    queue.send("hello", priority=5)
    assert queue.receive_into(buffer) == (5, 5)
    assert buffer == b"hello" + b"." * (room - 5)
    queue.send(b"")
    assert queue.receive_into(memoryview(buffer), timeout=0) == (0, 0)


def test_receive_into_wants_room_for_any_message(queue):
    queue.send("x")
    with pytest.raises(ValueError, match="64"):
        queue.receive_into(bytearray(63))
    assert queue.current_messages == 1


@pytest.mark.parametrize("buffer", [b"x" * 64, "x" * 64, None, 64, memoryview(bytearray(256))[::2]], ids=type_name)
def test_receive_into_wants_a_buffer_that_can_be_written(queue, buffer):
    queue.send("x")
    with pytest.raises((TypeError, BufferError)):
        queue.receive_into(buffer)
    assert queue.current_messages == 1


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_receive_into_of_nothing_is_a_busy_error_and_writes_nothing(queue, timeout):
    buffer = bytearray(64)
    with pytest.raises(BusyError):
        queue.receive_into(buffer, timeout)
    assert buffer == bytes(64)
    buffer.clear()  # nobody holds it any more


@pytest.mark.parametrize("timeout", [None, 60])
def test_receive_into_waits_and_holds_the_buffer(queue, start_thread, timeout):
    buffer = bytearray(64)
    thread = start_thread(queue.receive_into, buffer, timeout)
    thread.wait_until_asleep()
    with pytest.raises(BufferError):
        buffer.clear()
    queue.send("hello")
    assert thread.result() == (5, 0)
    assert buffer[:5] == b"hello"


# --- all of them ------------------------------------------------------------------------------

USES = {
    "send_many": lambda queue: queue.send_many(["hello"]),
    "receive_many": lambda queue: queue.receive_many(),
    "receive_into": lambda queue: queue.receive_into(bytearray(64)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_handle_can_do_nothing(queue, reopen, use):
    handle = reopen(queue)
    handle.close()
    with pytest.raises(ExistentialError):
        use(handle)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_rights_are_kept(queue, reopen, use):
    sending = use is USES["send_many"]
    with pytest.raises(PermissionsError):
        use(reopen(queue, read=sending, write=not sending))


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_makes_no_sense_is_a_value_error(queue, timeout):
    queue.send("hello")
    for call in (
        lambda: queue.send_many(["x"], timeout),
        lambda: queue.receive_many(None, timeout),
        lambda: queue.receive_into(bytearray(64), timeout),
    ):
        with pytest.raises(ValueError, match="timeout"):
            call()
    assert queue.current_messages == 1


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_a_signal_handler_raises_ends_the_wait_and_tells_what_was_done(queue, handle_signal, use):
    def stop(number, frame):
        raise LookupError("from the handler")

    def send_signal():
        wait_until_asleep("self", MAIN)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    handle_signal(signal.SIGUSR1, stop)
    sending = use is USES["send_many"]
    thread = threading.Thread(target=send_signal)
    thread.start()
    try:
        with pytest.raises(LookupError, match="from the handler") as caught:
            queue.send_many(list("abcdef"), timeout=60) if sending else use(queue)
    finally:
        thread.join()
    if sending:
        assert caught.value.sent == 4
    assert queue.current_messages == (4 if sending else 0)


class StubbornError(Exception):
    """An exception that takes no attributes."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


@pytest.mark.parametrize("error", [LookupError, StubbornError])
def test_what_a_handler_raises_at_the_end_of_a_batch_tells_how_many_were_sent(queue, handle_signal, error):
    def stop(number, frame):
        raise error("from the handler")

    handle_signal(signal.SIGUSR1, stop)
    queue.request_notification(signal.SIGUSR1)  # the first message of the batch is what sends the signal
    with pytest.raises(error) as caught:
        queue.send_many(["a", "b", "c"])
    assert vars(caught.value)["sent"] == 3
    assert [message for message, _ in drain(queue)] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("error", [LookupError, StubbornError])
def test_what_a_handler_raises_at_the_end_of_a_batch_tells_what_was_received(queue, handle_signal, error):
    def stop(number, frame):
        raise error("from the handler")

    def signal_and_send():
        wait_until_asleep("self", MAIN)
        # This thread takes the signal, so the wait goes on; the handler is due in the main thread when it ends.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        queue.send_many(["a", "b", "c"], priority=3)

    handle_signal(signal.SIGUSR1, stop)
    thread = threading.Thread(target=signal_and_send)
    thread.start()
    try:
        with pytest.raises(error) as caught:
            queue.receive_many(timeout=60)
    finally:
        thread.join()
    received = vars(caught.value)["received"]
    assert received
    assert received + drain(queue) == [(b"a", 3), (b"b", 3), (b"c", 3)]


def test_a_long_batch_lets_handlers_run_in_its_midst(make_queue, start_python, finish, handle_signal):
    """More messages than the queue holds, to a receiver that never stops: the signal need not wait for the end."""
    queue = make_queue(max_messages=10)
    receiver = start_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue
        count = 0
        with MessageQueue(sys.argv[1]) as queue:
            while queue.current_messages < 10:
                pass  # a receiver that waited would be told of the first message in the notification's stead
            while queue.receive()[0] != b"end":
                count += 1
        print(count)
        """,
        queue.name,
    )

    def stop(number, frame):
        raise LookupError

    handle_signal(signal.SIGUSR1, stop)
    queue.request_notification(signal.SIGUSR1)
    with pytest.raises(LookupError) as caught:
        queue.send_many([b"x"] * 10**6)
    queue.send("end")
    assert caught.value.sent == int(finish(receiver)) < 10**6


def test_a_fork_amid_a_batch_leaves_the_child_no_room_that_was_handed_out(run_in_namespace):
    """The parent's batch may have cut it to its message's size, or freed it."""
    run_in_namespace(
        """
        import os, signal, sys, threading, time, warnings
        sys.path.insert(0, sys.argv[1])
        from helpers import wait_until_asleep
        from posix_ipc_swig import O_CREX, MessageQueue

        warnings.simplefilter("ignore", DeprecationWarning)
        set_limit("msgsize_max", 20_000)
        queue = MessageQueue(None, O_CREX, max_messages=3, max_message_size=20_000)
        queue.unlink()
        queue.send("x")
        queue.receive()  # the handle has its room from here on
        amid, forked, statuses = threading.Event(), threading.Event(), []

        def handler(number, frame):
            amid.set()
            assert forked.wait(30)

        def fork():
            wait_until_asleep("self", threading.main_thread().native_id)
            # Together: the main thread has the message, and then the signal, before it is back.
            queue.send(b"a" * 12_000)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            assert amid.wait(30)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    queue.send(b"b" * 20_000)
                    status = 0 if queue.receive(0) == (b"b" * 20_000, 0) else 2
                finally:
                    os._exit(status)
            statuses.append(os.waitpid(child, 0)[1])
            forked.set()

        signal.signal(signal.SIGUSR1, handler)
        sys.setswitchinterval(30)
        thread = threading.Thread(target=fork)
        thread.start()
        assert queue.receive_many() == [(b"a" * 12_000, 0)]
        thread.join()
        assert statuses == [0], statuses
        queue.close()
        """,
        os.path.dirname(__file__),
    )


def test_large_messages_come_whole_and_occupy_what_they_hold(run_in_namespace):
    """Above what the stack holds a message is received in a spare object, which is handed out or copied."""
    run_in_namespace(
        """
        import sys
        from posix_ipc_swig import O_CREX, MessageQueue

        SIZES = (0, 1, 64, 32767, 32768, 65536, 65537, 131072)
        set_limit("msgsize_max", 131072)
        queue = MessageQueue(None, O_CREX, max_messages=2, max_message_size=131072)
        queue.unlink()

        def message(size, byte):
            return bytes([byte]) * size

        kept = []
        for turn in range(3):
            for size in SIZES:
                queue.send(message(size, turn + 1))
                kept.append((size, turn + 1, queue.receive(0)[0]))
        for turn in range(3):
            for first in range(0, len(SIZES), 2):
                batch = SIZES[first : first + 2]
                assert queue.send_many([message(size, turn + 7) for size in batch]) == 2
                received = queue.receive_many()
                assert len(received) == 2
                kept += [(size, turn + 7, text) for size, (text, _) in zip(batch, received)]
        for size, byte, text in kept:
            assert text == message(size, byte)
            assert sys.getsizeof(text) == sys.getsizeof(bytes(size))
            hash(text)
        queue.close()
        """
    )
