"""Blocking mode: whether a handle's calls may wait at all."""

from __future__ import annotations

import pytest
from helpers import drain, fill

from posix_ipc_swig import O_NONBLOCK, BusyError

timeouts = pytest.mark.parametrize("timeout", [None, 0, 0.01, 3600, float("inf")])


def test_handles_block_unless_said_otherwise(queue):
    assert queue.block is True


@timeouts
def test_a_handle_that_does_not_block_raises_instead(queue, timeout):
    queue.block = False
    assert queue.block is False
    with pytest.raises(BusyError):
        queue.receive(timeout)
    messages = fill(queue)
    with pytest.raises(BusyError):
        queue.send("one more", timeout)
    assert [message for message, _ in drain(queue)] == messages


@timeouts
def test_a_handle_that_does_not_block_does_what_can_be_done_at_once(queue, timeout):
    queue.block = False
    queue.send("hello", timeout, 3)
    assert queue.receive(timeout) == (b"hello", 3)


def test_a_handle_opened_with_o_nonblock_raises_instead(queue, make_queue):
    other = make_queue(queue.name, flags=O_NONBLOCK)
    assert other.block is False
    with pytest.raises(BusyError):
        other.receive()


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_handle_may_block_again(queue, start_thread, timeout):
    queue.block = False
    queue.block = True
    assert queue.block is True
    thread = start_thread(queue.receive, timeout)
    thread.wait_until_asleep()
    queue.send("hello")
    assert thread.result() == (b"hello", 0)


def test_block_is_a_matter_of_each_handle(queue, reopen, start_thread):
    other = reopen(queue)
    queue.block = False
    assert other.block is True
    thread = start_thread(other.receive)
    thread.wait_until_asleep()
    queue.send("hello")
    assert thread.result() == (b"hello", 0)


@pytest.mark.parametrize(("value", "block"), [(1, True), (0, False), ("yes", True), ("", False), (None, False)])
def test_block_takes_what_is_true_or_false(queue, value, block):
    queue.block = value
    assert queue.block is block


def test_what_is_neither_true_nor_false_leaves_block_alone(queue):
    class Neither:
        def __bool__(self):
            raise LookupError("no idea")

    queue.block = False
    with pytest.raises(LookupError, match="no idea"):
        queue.block = Neither()
    assert queue.block is False


def test_block_cannot_be_deleted(queue):
    with pytest.raises((AttributeError, TypeError)):
        del queue.block
    assert queue.block is True
