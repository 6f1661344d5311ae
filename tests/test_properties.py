"""Properties, the descriptor, and the handle as text."""

from __future__ import annotations

import asyncio
import os
import select
import selectors

import pytest
from helpers import LIMIT, fill

from posix_ipc_swig import ExistentialError, MessageQueue

READ_ONLY = ["name", "mode", "mqd", "closed", "max_messages", "max_message_size", "current_messages"]


def test_a_handle_knows_what_it_was_made_with(make_queue, name):
    queue = make_queue(name, mode=0o640, max_messages=3, max_message_size=17)
    assert queue.name == name
    assert queue.mode == 0o640
    assert (queue.max_messages, queue.max_message_size) == (3, 17)


@pytest.mark.parametrize("capacity", [(1, 1), (2, 1000), (10, 1), (7, 33)], ids=str)
def test_a_queue_has_the_capacity_that_was_asked_for(make_queue, reopen, capacity):
    queue = make_queue(max_messages=capacity[0], max_message_size=capacity[1])
    for handle in (queue, reopen(queue)):
        assert (handle.max_messages, handle.max_message_size) == capacity


def test_current_messages_counts_what_the_queue_holds(queue, reopen):
    other = reopen(queue)
    counts = [other.current_messages]
    for _ in range(3):
        queue.send("hello")
        counts.append(other.current_messages)
    other.receive()
    counts.append(queue.current_messages)
    assert counts == [0, 1, 2, 3, 2]


def test_mqd_is_an_open_descriptor(queue, reopen):
    assert type(queue.mqd) is int
    os.fstat(queue.mqd)
    assert queue.fileno() == queue.mqd
    assert reopen(queue).mqd != queue.mqd


@pytest.mark.parametrize("attribute", READ_ONLY)
def test_what_is_read_only_refuses_assignment(queue, attribute):
    before = getattr(queue, attribute)
    for value in (before, 1, None):
        with pytest.raises((AttributeError, TypeError)):
            setattr(queue, attribute, value)
    with pytest.raises((AttributeError, TypeError)):
        delattr(queue, attribute)
    assert getattr(queue, attribute) == before
    queue.send("still in order")
    assert queue.receive(0) == (b"still in order", 0)


def test_str_is_for_people(queue):
    assert queue.name in str(queue)
    assert "0" in str(queue).replace(queue.name, "")
    fill(queue)
    assert "4" in str(queue).replace(queue.name, "")


def test_repr_is_for_debugging(queue):
    for part in (MessageQueue.__name__, repr(queue.name), "0o600", f"max_messages={4}", f"max_message_size={64}"):
        assert part in repr(queue)


def test_a_class_that_builds_on_message_queue_says_its_own_name(queue):
    class Mailbox(MessageQueue):
        pass

    with Mailbox(queue.name) as mailbox:
        assert "Mailbox" in repr(mailbox)


def test_text_of_a_handle_that_cannot_read_or_write(queue, reopen):
    for rights in ({"read": False}, {"write": False}):
        handle = reopen(queue, **rights)
        assert queue.name in str(handle)
        assert queue.name in repr(handle)


def test_select_sees_when_a_queue_can_be_read_or_written(queue):
    def ready():
        readable, writable, _ = select.select([queue], [queue], [], 0)
        return bool(readable), bool(writable)

    assert ready() == (False, True)
    queue.send("hello")
    assert ready() == (True, True)
    fill_up = queue.max_messages - queue.current_messages
    for _ in range(fill_up):
        queue.send("hello")
    assert ready() == (True, False)


def test_a_selector_wakes_up_for_a_message(queue, start_thread):
    with selectors.DefaultSelector() as selector:
        selector.register(queue, selectors.EVENT_READ, "data")
        thread = start_thread(selector.select)
        thread.wait_until_asleep()
        queue.send("hello")
        [(key, events)] = thread.result()
    assert (key.fileobj, key.data, events) == (queue, "data", selectors.EVENT_READ)


def test_an_event_loop_can_wait_for_a_message(queue, start_thread):
    async def receive():
        loop = asyncio.get_running_loop()
        came = loop.create_future()
        loop.add_reader(queue, lambda: came.done() or came.set_result(queue.receive(0)))
        queue.send("hello", priority=2)
        try:
            return await asyncio.wait_for(came, LIMIT)
        finally:
            loop.remove_reader(queue)

    assert asyncio.run(receive()) == (b"hello", 2)


def test_a_handle_that_was_not_opened_can_be_shown_and_dropped():
    """A traceback shows the object whose constructor failed."""
    handle = MessageQueue.__new__(MessageQueue)
    for text in (repr(handle), str(handle)):
        assert "MessageQueue" in text
        assert "not opened" in text
    assert handle.closed
    with pytest.raises(ExistentialError):
        handle.send("x")
