"""Priorities: the highest first, the oldest first within one."""

from __future__ import annotations

import itertools

import pytest
from helpers import drain, type_name

from posix_ipc_swig import QUEUE_PRIORITY_MAX


def test_highest_priority_first_then_oldest_first(queue):
    for text, priority in (("a", 1), ("b", 3), ("c", 1)):
        queue.send(text, priority=priority)
    assert [queue.receive(0) for _ in range(3)] == [(b"b", 3), (b"a", 1), (b"c", 1)]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])), ids=str)
def test_the_order_of_sending_does_not_matter_between_priorities(queue, order):
    for priority in order:
        queue.send(str(priority), priority=priority)
    assert drain(queue) == [(b"2", 2), (b"1", 1), (b"0", 0)]


def test_one_priority_is_first_in_first_out(make_queue):
    queue = make_queue(max_messages=10)
    for number in range(10):
        queue.send(str(number), priority=5)
    assert drain(queue) == [(str(number).encode(), 5) for number in range(10)]


def test_a_later_message_of_a_higher_priority_overtakes(queue):
    queue.send("low")
    queue.send("other low")
    assert queue.receive(0) == (b"low", 0)
    queue.send("high", priority=1)
    assert drain(queue) == [(b"high", 1), (b"other low", 0)]


def test_the_priority_is_0_unless_said_otherwise(queue):
    queue.send("default")
    queue.send("lowest", priority=0)
    assert drain(queue) == [(b"default", 0), (b"lowest", 0)]


@pytest.mark.parametrize("priority", [0, 1, 255, 256, QUEUE_PRIORITY_MAX - 1, QUEUE_PRIORITY_MAX])
def test_a_priority_comes_out_as_it_went_in(queue, priority):
    queue.send("hello", priority=priority)
    assert queue.receive(0) == (b"hello", priority)


@pytest.mark.parametrize(
    "priority",
    [-1, QUEUE_PRIORITY_MAX + 1, 65536, 2**31, 2**32, 2**32 + 1, 2**64, 2**64 + 1, -(2**32), -(2**70)],
)
def test_a_priority_out_of_range_is_a_value_error(queue, priority):
    # 2**32 + 1 would be 1 to a conversion that cuts.
    for timeout in (None, 0, 60):
        with pytest.raises(ValueError, match=str(QUEUE_PRIORITY_MAX)):
            queue.send("hello", timeout, priority)
    assert queue.current_messages == 0


@pytest.mark.parametrize("priority", ["1", b"1", 1.0, [1], object()], ids=type_name)
def test_a_priority_of_a_wrong_type_is_a_type_error(queue, priority):
    with pytest.raises(TypeError, match="priority"):
        queue.send("hello", priority=priority)
    assert queue.current_messages == 0


def test_whatever_counts_as_an_integer_is_a_priority(queue):
    class Urgent:
        def __index__(self):
            return 9

    queue.send("hello", priority=Urgent())
    assert queue.receive(0) == (b"hello", 9)


def test_an_error_of_the_priority_propagates_as_itself(queue):
    class Broken:
        def __index__(self):
            raise LookupError("no idea")

    with pytest.raises(LookupError, match="no idea"):
        queue.send("hello", priority=Broken())
    assert queue.current_messages == 0
