"""mq_receive() and mq_timedreceive(): POSIX.1-2017, System Interfaces.

What both promise is one test, which runs for each: `receive` is the one that the rule is about.
"""

from __future__ import annotations

import errno
import signal
import time

import pytest
from posix_support import PAST, Call, at, count, fails, soon

from posix_ipc_swig import raw

rule = pytest.mark.rule


@rule("mq_receive.1", "mq_timedreceive.1")
def test_the_oldest_of_the_highest_priority_comes_and_is_gone(mqd, receive):
    for message, priority in ((b"a", 1), (b"b", 3), (b"c", 3), (b"d", 2)):
        raw.mq_send(mqd, message, priority)
    for left, expected in ((3, b"b"), (2, b"c"), (1, b"d"), (0, b"a")):
        assert receive(mqd, 32)[0] == expected
        assert count(mqd) == left


@rule("mq_receive.2", "mq_receive.12", "mq_timedreceive.2", "mq_timedreceive.15")
def test_a_buffer_smaller_than_the_queues_messages_is_emsgsize(mqd, receive):
    raw.mq_send(mqd, b"x", 0)
    for size in (31, 1):  # though the message would fit
        with fails(errno.EMSGSIZE):
            receive(mqd, size)
    assert count(mqd) == 1
    assert receive(mqd, 32) == (b"x", 0)


@rule("mq_receive.4", "mq_timedreceive.4")
def test_the_priority_comes_with_the_message(mqd, receive):
    for priority in (0, 7, raw.MQ_PRIO_MAX - 1):
        raw.mq_send(mqd, b"hello", priority)
        assert receive(mqd, 32) == (b"hello", priority)


@rule("mq_receive.5", "mq_timedreceive.5")
def test_an_empty_queue_makes_it_wait_for_a_message(mqd, receive):
    call = Call(receive, mqd, 32)
    call.wait_until_blocked()
    raw.mq_send(mqd, b"hello", 2)
    assert call.result() == (b"hello", 2)


@rule("mq_timedreceive.24")
def test_the_wait_ends_when_the_time_comes(mqd):
    deadline = time.time_ns() + 50_000_000
    with fails(errno.ETIMEDOUT):
        raw.mq_timedreceive(mqd, 32, at(deadline))
    assert time.time_ns() >= deadline


@rule("mq_receive.6", "mq_timedreceive.6")
def test_the_waiter_of_the_highest_priority_receives_first(mqd, receive, real_time):
    def wait(priority):
        real_time(priority)
        return receive(mqd, 32)

    waiters = []
    for priority in (10, 30, 20, 30):
        waiters.append(Call(wait, priority))
        waiters[-1].wait_until_blocked()
    for message in (b"1", b"2", b"3", b"4"):
        raw.mq_send(mqd, message, 0)
    low, high, middle, second_high = [call.result()[0] for call in waiters]
    assert [high, second_high, middle, low] == [b"1", b"2", b"3", b"4"]


@rule("mq_receive.16", "mq_timedreceive.20")
def test_waiters_of_equal_priority_receive_in_the_order_that_they_came(mqd, receive):
    waiters = []
    for _ in range(3):
        waiters.append(Call(receive, mqd, 32))
        waiters[-1].wait_until_blocked()
    for message in (b"1", b"2", b"3"):
        raw.mq_send(mqd, message, 0)
    assert [call.result()[0] for call in waiters] == [b"1", b"2", b"3"]


@rule("mq_receive.17", "mq_timedreceive.21")
def test_waiters_of_an_ordinary_policy_are_ordered_by_nice_on_linux(mqd, receive, become_nice):
    def wait(nice):
        become_nice(nice)
        return receive(mqd, 32)

    waiters = []
    for nice in (15, 5, 10):
        waiters.append(Call(wait, nice))
        waiters[-1].wait_until_blocked()
    for message in (b"1", b"2", b"3"):
        raw.mq_send(mqd, message, 0)
    low, high, middle = [call.result()[0] for call in waiters]
    assert [high, middle, low] == [b"1", b"2", b"3"]


@rule("mq_receive.7", "mq_receive.10", "mq_timedreceive.7", "mq_timedreceive.13")
def test_an_empty_queue_is_eagain_without_waiting(mqd, receive, open_queue):
    hasty = open_queue(raw.O_RDONLY | raw.O_NONBLOCK)
    with fails(errno.EAGAIN):
        receive(hasty, 32)
    raw.mq_send(mqd, b"hello", 0)
    assert receive(hasty, 32) == (b"hello", 0)
    with fails(errno.EAGAIN):
        receive(hasty, 32)


@rule("mq_receive.8", "mq_timedreceive.11")
def test_it_returns_as_many_bytes_as_the_message_has(mqd, receive):
    for message in (b"", b"x", b"\0\0", bytes(range(32))):
        raw.mq_send(mqd, message, 0)
        assert receive(mqd, 100) == (message, 0)
        assert count(mqd) == 0


@rule("mq_receive.9", "mq_timedreceive.12")
def test_a_failure_is_an_errno_and_takes_nothing(mqd, receive, open_queue):
    raw.mq_send(mqd, b"hello", 0)
    with fails(errno.EMSGSIZE):
        receive(mqd, 31)
    with fails(errno.EBADF):
        receive(open_queue(raw.O_WRONLY), 32)
    assert count(mqd) == 1
    assert receive(mqd, 32) == (b"hello", 0)


@rule("mq_receive.11", "mq_timedreceive.14")
def test_what_is_not_open_for_receiving_is_ebadf(mqd, receive, open_queue):
    raw.mq_send(mqd, b"hello", 0)
    with open("/proc/self/status") as file:
        for bad in (open_queue(raw.O_WRONLY), file.fileno(), -1, 2**31 - 1):
            with fails(errno.EBADF):
                receive(bad, 32)
    assert count(mqd) == 1


@rule("mq_receive.13", "mq_timedreceive.16")
def test_a_signal_is_eintr(mqd, peer, receive_source):
    peer.do("before = signal.signal(signal.SIGUSR1, lambda number, frame: None)")
    peer.do("mqd = raw.mq_open(name, raw.O_RDONLY)")
    peer.start(receive_source)
    peer.wait_until_blocked()
    peer.signal(signal.SIGUSR1)
    with fails(errno.EINTR):
        peer.result()
    raw.mq_send(mqd, b"hello", 0)
    assert peer.do(receive_source) == (b"hello", 0)


@rule("mq_receive.15", "mq_timedreceive.22")
def test_room_that_somebody_waits_for_is_theirs(full, receive):
    sender = Call(raw.mq_send, full, b"late", 9)
    sender.wait_until_blocked()
    assert receive(full, 32) == (b"filler 0", 0)
    sender.result()
    assert count(full) == 4
    assert receive(full, 32) == (b"late", 9)


@rule("mq_timedreceive.8")
def test_the_time_is_the_real_time_clocks(mqd):
    """Not the monotonic clock's, which is decades behind, so that its times have all passed."""
    with fails(errno.ETIMEDOUT):
        raw.mq_timedreceive(mqd, 32, at(time.monotonic_ns() + 3600 * 10**9))
    deadline = time.clock_gettime_ns(time.CLOCK_REALTIME) + 30_000_000
    with fails(errno.ETIMEDOUT):
        raw.mq_timedreceive(mqd, 32, at(deadline))
    assert time.clock_gettime_ns(time.CLOCK_REALTIME) >= deadline


@rule("mq_timedreceive.9")
def test_the_time_is_as_fine_as_the_clock(mqd):
    """Deadlines within one tick of a coarse clock, 4 ms, end one after the other, and none early."""
    for microseconds in (300, 600, 1200, 2400):
        deadline = time.time_ns() + microseconds * 1000
        with fails(errno.ETIMEDOUT):
            raw.mq_timedreceive(mqd, 32, at(deadline))
        assert time.time_ns() >= deadline
    assert time.clock_getres(time.CLOCK_REALTIME) <= 0.000_001


@rule("mq_timedreceive.10")
def test_a_message_means_that_the_time_does_not_matter(mqd):
    for passed in (PAST, raw.timespec(0, 0), at(time.time_ns() - 10**9)):
        raw.mq_send(mqd, b"hello", 0)
        assert raw.mq_timedreceive(mqd, 32, passed) == (b"hello", 0)


@rule("mq_timedreceive.23")
def test_a_time_that_is_none_is_einval_on_linux_even_with_a_message(mqd):
    """The standard lets a system look at the time or not when it need not wait; Linux looks."""
    raw.mq_send(mqd, b"hello", 0)
    for bad in (raw.timespec(0, -1), raw.timespec(0, 10**9), raw.timespec(-1, 0)):
        with fails(errno.EINVAL):
            raw.mq_timedreceive(mqd, 32, bad)
    assert count(mqd) == 1


@rule("mq_timedreceive.17")
def test_nanoseconds_out_of_range_are_einval(mqd):
    for nanoseconds in (-1, 10**9, 2**40):
        with fails(errno.EINVAL):
            raw.mq_timedreceive(mqd, 32, raw.timespec(2**31, nanoseconds))


@rule("mq_timedreceive.18")
def test_no_message_in_time_is_etimedout(mqd):
    for deadline in (soon(0.02), PAST):
        with fails(errno.ETIMEDOUT):
            raw.mq_timedreceive(mqd, 32, deadline)
    raw.mq_send(mqd, b"hello", 0)
    assert raw.mq_receive(mqd, 32) == (b"hello", 0)
