"""Closing and unlinking: what ends, and what lives on."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import weakref

import pytest
from helpers import open_descriptors, wait_until

from posix_ipc_swig import (
    O_CREX,
    ExistentialError,
    MessageQueue,
    unlink_message_queue,
)

USES = {
    "send": lambda queue: queue.send("hello"),
    "send at once": lambda queue: queue.send("hello", timeout=0),
    "send timed": lambda queue: queue.send("hello", timeout=60, priority=1),
    "receive": lambda queue: queue.receive(),
    "receive at once": lambda queue: queue.receive(0),
    "receive timed": lambda queue: queue.receive(timeout=60),
    "iterate": lambda queue: next(iter(queue)),
    "cancel notification": lambda queue: queue.request_notification(),
    "notify by signal": lambda queue: queue.request_notification(10),
    "notify by callback": lambda queue: queue.request_notification((print, "called")),
    "fileno": lambda queue: queue.fileno(),
    "mqd": lambda queue: queue.mqd,
    "block": lambda queue: queue.block,
    "set block": lambda queue: setattr(queue, "block", False),
    "max_messages": lambda queue: queue.max_messages,
    "max_message_size": lambda queue: queue.max_message_size,
    "current_messages": lambda queue: queue.current_messages,
    "close": lambda queue: queue.close(),
    "with": lambda queue: queue.__enter__(),
    "pickle": lambda queue: pickle.dumps(queue),
    "copy": lambda queue: copy.copy(queue),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_handle_can_do_nothing(queue, reopen, use):
    handle = reopen(queue)
    queue.send("hello")
    assert handle.close() is None
    before = open_descriptors()
    with pytest.raises(ExistentialError) as caught:
        use(handle)
    assert caught.value.filename == queue.name
    assert not isinstance(caught.value, (FileNotFoundError, FileExistsError))
    assert queue.current_messages == 1
    assert open_descriptors() == before


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_handle_that_was_never_opened_can_do_nothing(use):
    with pytest.raises((ExistentialError, AttributeError, TypeError)):
        use(MessageQueue.__new__(MessageQueue))


def test_text_of_a_handle_that_was_never_opened_does_not_crash():
    handle = MessageQueue.__new__(MessageQueue)
    for text in (str, repr):
        with contextlib.suppress(ExistentialError, AttributeError, TypeError):
            text(handle)


def test_a_closed_handle_still_says_what_it_was(queue):
    name = queue.name
    assert queue.closed is False
    queue.close()
    assert queue.closed is True
    assert (queue.name, queue.mode) == (name, 0o600)
    assert name in str(queue)
    assert name in repr(queue)


def test_closing_leaves_other_handles_and_the_messages_alone(queue, reopen):
    other = reopen(queue)
    queue.send("hello")
    queue.close()
    other.send("world")
    assert [other.receive(0)[0] for _ in range(2)] == [b"hello", b"world"]


def test_closing_frees_the_descriptor(queue, reopen):
    before = open_descriptors()
    other = reopen(queue)
    assert open_descriptors() - before == {str(other.mqd)}
    other.close()
    assert open_descriptors() == before


def test_a_second_close_never_touches_what_has_the_number_now(queue, reopen):
    handle = reopen(queue)
    number = handle.mqd
    handle.close()
    file = os.open("/dev/null", os.O_RDONLY)
    try:
        os.dup2(file, number)
        for use in USES.values():
            with pytest.raises(ExistentialError):
                use(handle)
        os.fstat(number)
    finally:
        os.close(number)
        if file != number:
            os.close(file)


def test_with_closes(queue, reopen):
    with reopen(queue) as handle:
        assert isinstance(handle, MessageQueue)
        handle.send("hello")
    assert handle.closed
    assert queue.current_messages == 1


def test_with_closes_after_an_exception_too(queue, reopen):
    with pytest.raises(LookupError), reopen(queue) as handle:
        raise LookupError
    assert handle.closed


def test_with_accepts_a_handle_closed_inside(queue, reopen):
    with reopen(queue) as handle:
        handle.close()
    assert handle.closed


def test_unlinking_removes_the_name_now_and_the_queue_with_its_last_handle(queue, reopen):
    other = reopen(queue)
    assert queue.unlink() is None
    with pytest.raises(ExistentialError):
        MessageQueue(queue.name)
    queue.send("hello")
    assert other.receive(0) == (b"hello", 0)
    other.send("world")
    queue.close()
    assert other.receive(0) == (b"world", 0)


def test_a_name_is_free_after_unlinking(queue, make_queue):
    queue.send("old")
    queue.unlink()
    new = make_queue(queue.name, max_messages=2)
    assert (new.current_messages, queue.current_messages) == (0, 1)
    new.send("new")
    assert queue.receive(0) == (b"old", 0)
    assert new.receive(0) == (b"new", 0)


def test_unlink_works_on_a_closed_handle(queue):
    queue.close()
    queue.unlink()
    with pytest.raises(ExistentialError):
        MessageQueue(queue.name)


@pytest.mark.parametrize("closed", [False, True])
def test_a_name_that_is_gone_cannot_be_unlinked(queue, closed):
    if closed:
        queue.close()
    unlink_message_queue(queue.name)
    for unlink in (queue.unlink, lambda: unlink_message_queue(queue.name)):
        with pytest.raises(ExistentialError) as caught:
            unlink()
        assert caught.value.filename == queue.name


def test_unlink_message_queue_removes_a_queue_by_name(queue):
    assert unlink_message_queue(queue.name) is None
    with pytest.raises(ExistentialError):
        MessageQueue(queue.name)
    queue.send("still there for those who have it")


def test_nothing_is_closed_by_garbage_collection(queue):
    handle = MessageQueue(queue.name)
    number = handle.mqd
    with pytest.warns(ResourceWarning, match=queue.name):
        del handle
        gc.collect()
    os.fstat(number)
    os.close(number)


def test_a_handle_dropped_closed_warns_of_nothing(queue):
    handle = MessageQueue(queue.name)
    gone = weakref.ref(handle)
    handle.close()
    del handle
    gc.collect()
    assert gone() is None


def test_a_handle_that_could_not_be_opened_warns_of_nothing(queue, name):
    for arguments in ((name,), (queue.name, O_CREX), ("bad",)):
        with pytest.raises((OSError, ValueError)):
            MessageQueue(*arguments)
    gc.collect()


@pytest.mark.parametrize("timeout", [None, 60])
def test_who_waits_keeps_the_queue_when_another_thread_closes(queue, reopen, start_thread, timeout):
    waiting = reopen(queue)
    number = waiting.mqd
    thread = start_thread(waiting.receive, timeout)
    thread.wait_until_asleep()
    waiting.close()
    assert waiting.closed
    with pytest.raises(ExistentialError):
        waiting.receive(0)
    # The number must not come to mean another file while somebody waits on it.
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    try:
        assert number not in others
        queue.send("hello")
        assert thread.result() == (b"hello", 0)
    finally:
        for other in others:
            os.close(other)
    wait_until(lambda: str(number) not in open_descriptors())


@pytest.mark.parametrize("timeout", [None, 60])
def test_who_waits_to_send_keeps_the_queue_too(make_queue, reopen, start_thread, timeout):
    queue = make_queue(max_messages=1)
    queue.send("first")
    waiting = reopen(queue)
    number = waiting.mqd
    thread = start_thread(waiting.send, "second", timeout)
    thread.wait_until_asleep()
    waiting.close()
    assert queue.receive() == (b"first", 0)
    thread.result()
    assert queue.receive() == (b"second", 0)
    assert str(number) not in open_descriptors()


def test_a_descriptor_closed_behind_the_back_of_its_handle_is_an_existential_error(queue, reopen):
    handle = reopen(queue)
    os.close(handle.mqd)
    for use in (lambda: handle.receive(0), lambda: handle.send("hello", 0), lambda: handle.current_messages):
        with pytest.raises(ExistentialError):
            use()
    handle.close()
    assert queue.current_messages == 0


def test_closing_many_handles_leaves_nothing(queue, make_name):
    before = open_descriptors()
    for _ in range(50):
        with MessageQueue(queue.name) as handle:
            handle.send("hello")
            handle.receive()
    for _ in range(50):
        with MessageQueue(make_name(), O_CREX, max_messages=1, max_message_size=1) as handle:
            handle.unlink()
    assert open_descriptors() == before
