"""Messages: what goes in comes out, and what is no message changes nothing."""

from __future__ import annotations

import array
import ctypes
import mmap

import pytest
from helpers import drain, fill

from posix_ipc_swig import BusyError

EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize(
    "message",
    [b"", b"x", b"hello", b"\0", b"a\0b\0", b"\xff\xfe", b"x" * 64],
    ids=["empty", "one", "text", "NUL", "NULs", "no UTF-8", "longest"],
)
def test_bytes_come_out_as_they_went_in(queue, message):
    assert queue.send(message) is None
    assert queue.current_messages == 1
    assert queue.receive() == (message, 0)
    assert queue.current_messages == 0


def test_every_byte_value_comes_out_as_it_went_in(make_queue):
    queue = make_queue(max_message_size=256)
    queue.send(EVERY_BYTE)
    assert queue.receive(0) == (EVERY_BYTE, 0)


@pytest.mark.parametrize("text", ["", "hello", "a\0b", "näïve ☃ 🐍"])
def test_str_goes_as_utf8(queue, text):
    queue.send(text)
    assert queue.receive(0) == (text.encode(), 0)


@pytest.mark.parametrize(
    "message",
    [
        bytearray(b"hello"),
        memoryview(b"hello"),
        memoryview(b"say hello")[4:],
        memoryview(bytearray(b"hello")).cast("c"),
        array.array("B", b"hello"),
        (ctypes.c_char * 5)(*b"hello"),
    ],
    ids=["bytearray", "memoryview", "slice", "cast", "array", "ctypes"],
)
def test_any_contiguous_buffer_is_a_message(queue, message):
    queue.send(message)
    assert queue.receive(0) == (b"hello", 0)


def test_a_buffer_of_wide_items_is_sent_whole(queue):
    numbers = array.array("q", [1, -2, 3])
    queue.send(numbers)
    assert queue.receive(0) == (numbers.tobytes(), 0)


def test_a_memory_map_is_a_message(make_queue):
    queue = make_queue(max_messages=1, max_message_size=mmap.PAGESIZE)
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory[:5] = b"hello"
        queue.send(memory)
    assert queue.receive(0)[0] == b"hello".ljust(mmap.PAGESIZE, b"\0")


def test_a_buffer_is_let_go_after_the_call(queue):
    message = bytearray(b"hello")
    queue.send(message)
    message += b", and more than fits" * 10  # refused while anybody looks at it
    with pytest.raises(ValueError, match="max_message_size"):
        queue.send(message)
    fill_up = queue.max_messages - queue.current_messages
    for _ in range(fill_up):
        queue.send(b"")
    with pytest.raises(BusyError):
        queue.send(memoryview(message)[:5], 0)
    message.clear()


def test_subclasses_of_bytes_and_str_are_messages(queue):
    class Text(str):
        pass

    class Data(bytes):
        pass

    queue.send(Text("hello"))
    queue.send(Data(b"world"))
    assert drain(queue) == [(b"hello", 0), (b"world", 0)]


def test_receive_returns_a_tuple_of_bytes_and_int(queue):
    queue.send(bytearray(b"hello"), priority=True)
    received = queue.receive(0)
    assert type(received) is tuple
    assert [type(item) for item in received] == [bytes, int]


def test_a_received_message_stays_as_it_is(queue):
    queue.send("first")
    queue.send("other")
    first, _ = queue.receive(0)
    other, _ = queue.receive(0)
    assert (first, other) == (b"first", b"other")


def test_a_message_of_the_queue_size_fits_and_one_more_byte_does_not(queue):
    queue.send(b"x" * 64)
    for too_long in (b"x" * 65, "x" * 65, "é" * 33, bytearray(65), b"x" * 100_000):
        with pytest.raises(ValueError, match="64"):
            queue.send(too_long)
        with pytest.raises(ValueError, match="64"):
            queue.send(too_long, timeout=0, priority=1)
    assert drain(queue) == [(b"x" * 64, 0)]


def test_a_message_too_long_is_told_from_a_full_queue(queue):
    fill(queue)
    with pytest.raises(ValueError):
        queue.send(b"x" * 65, timeout=0)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        (1.5, TypeError),
        (["a"], TypeError),
        (object(), TypeError),
        (bytes, TypeError),
        (memoryview(b"abcdef")[::2], BufferError),
        ("\ud800", UnicodeEncodeError),
    ],
    ids=["None", "int", "float", "list", "object", "class", "not contiguous", "lone surrogate"],
)
def test_what_is_no_message_changes_nothing(queue, message, error):
    for arguments in ({}, {"timeout": 0}, {"priority": 3}):
        with pytest.raises(error):
            queue.send(message, **arguments)
    assert queue.current_messages == 0


@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((), {}),
        ((b"a", 0, 0, 0), {}),
        ((b"a",), {"message": b"b"}),
        ((b"a", 0), {"timeout": 1}),
        ((b"a",), {"prio": 1}),
        ((), {"timeout": 0}),
    ],
)
def test_send_takes_a_message_a_timeout_and_a_priority(queue, args, keywords):
    with pytest.raises(TypeError):
        queue.send(*args, **keywords)
    assert queue.current_messages == 0


@pytest.mark.parametrize(("args", "keywords"), [((0, 0), {}), ((0,), {"timeout": 0}), ((), {"x": 0})])
def test_receive_takes_a_timeout(queue, args, keywords):
    queue.send("hello")
    with pytest.raises(TypeError):
        queue.receive(*args, **keywords)
    assert queue.current_messages == 1


def test_arguments_go_by_position_or_by_name(queue):
    queue.send(b"position", 0, 5)
    queue.send(message=b"name", timeout=0, priority=4)
    # Names made at run time are other objects than the ones that the compiler made.
    queue.send(**{"".join(["mess", "age"]): b"made", "".join(["prio", "rity"]): 3})
    assert queue.receive(0) == (b"position", 5)
    assert queue.receive(timeout=0) == (b"name", 4)
    assert queue.receive(**{"".join(["time", "out"]): None}) == (b"made", 3)


def test_messages_outlive_the_handle_that_sent_them(queue, reopen):
    with reopen(queue) as sender:
        sender.send("hello")
    assert queue.receive(0) == (b"hello", 0)


def test_a_message_is_received_once(queue, reopen):
    other = reopen(queue)
    queue.send("hello")
    assert other.receive(0) == (b"hello", 0)
    with pytest.raises(BusyError):
        queue.receive(0)


def test_a_queue_takes_as_many_messages_as_it_was_made_for(make_queue):
    queue = make_queue(max_messages=3)
    messages = fill(queue)
    with pytest.raises(BusyError):
        queue.send("one more", timeout=0)
    assert drain(queue) == [(message, 0) for message in messages]


def test_iteration_yields_messages_as_they_come(queue):
    for number in range(4):
        queue.send(str(number), priority=number)
    came = []
    for message, priority in queue:
        came.append((message, priority))
        if message == b"0":
            break
    assert came == [(b"3", 3), (b"2", 2), (b"1", 1), (b"0", 0)]


def test_iteration_waits_for_the_next_message(queue, start_thread):
    thread = start_thread(lambda: next(iter(queue)))
    thread.wait_until_asleep()
    queue.send("hello", priority=1)
    assert thread.result() == (b"hello", 1)


def test_large_messages_come_out_as_they_went_in(run_in_namespace):
    """From sizes that fit the stack to ones that the kernel takes a while to copy, and by threads at once."""
    run_in_namespace(
        """
        import os, threading
        from posix_ipc_swig import MessageQueue, O_CREX

        set_limit("msgsize_max", 200_000)
        for size in (8191, 8192, 8193, 65535, 65536, 70_000):
            with MessageQueue("/large", O_CREX, max_messages=2, max_message_size=size) as queue:
                queue.unlink()
                for length in (size, 0, 1, size - 1):
                    message = os.urandom(length)
                    queue.send(message, priority=7)
                    assert queue.receive() == (message, 7), (size, length)

                def check():
                    for _ in range(100):
                        message, priority = queue.receive()
                        assert message == bytes([priority]) * size
                        counts.append(1)

                counts = []
                threads = [threading.Thread(target=check) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for number in range(300):
                    queue.send(bytes([number % 256]) * size, priority=number % 256)
                for thread in threads:
                    thread.join()
                assert len(counts) == 300
        """
    )
