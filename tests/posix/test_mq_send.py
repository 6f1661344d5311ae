"""mq_send() and mq_timedsend(): POSIX.1-2017, System Interfaces.

What both promise is one test, which runs for each: `send` is the one that the rule is about.
"""

from __future__ import annotations

import errno
import signal
import time

import pytest
from posix_support import PAST, Call, at, count, drain, fails, fill, soon

from posix_ipc_swig import raw

rule = pytest.mark.rule


@rule("mq_send.1", "mq_timedsend.1")
def test_the_message_is_in_the_queue(mqd, send):
    send(mqd, b"hello\0there", 2)
    assert drain(mqd) == [(b"hello\0there", 2)]


@rule("mq_send.2", "mq_send.14", "mq_timedsend.2", "mq_timedsend.14")
def test_a_message_longer_than_the_queues_is_emsgsize(mqd, send):
    send(mqd, bytes(32), 0)
    with fails(errno.EMSGSIZE):
        send(mqd, bytes(33), 0)
    assert drain(mqd) == [(bytes(32), 0)]


@rule("mq_send.3", "mq_timedsend.3")
def test_higher_priorities_come_first_and_equals_in_order(mqd, send):
    for message, priority in ((b"a", 1), (b"b", 3), (b"c", 1), (b"d", 3)):
        send(mqd, message, priority)
    assert drain(mqd) == [(b"b", 3), (b"d", 3), (b"a", 1), (b"c", 1)]


@rule("mq_send.4", "mq_send.13", "mq_timedsend.4", "mq_timedsend.13")
def test_a_priority_is_less_than_mq_prio_max(mqd, send):
    for bad in (raw.MQ_PRIO_MAX, raw.MQ_PRIO_MAX + 1, 2**32 - 1):
        with fails(errno.EINVAL):
            send(mqd, b"hello", bad)
    assert count(mqd) == 0
    send(mqd, b"hello", raw.MQ_PRIO_MAX - 1)
    send(mqd, b"hello", 0)
    assert [priority for _, priority in drain(mqd)] == [raw.MQ_PRIO_MAX - 1, 0]


@rule("mq_send.5", "mq_timedsend.5")
def test_a_full_queue_makes_it_wait_for_room(full, send):
    call = Call(send, full, b"late", 0)
    call.wait_until_blocked()
    assert count(full) == 4
    raw.mq_receive(full, 32)
    call.result()
    assert drain(full)[-1] == (b"late", 0)


@rule("mq_timedsend.26")
def test_the_wait_ends_when_the_time_comes(full):
    deadline = time.time_ns() + 50_000_000
    with fails(errno.ETIMEDOUT):
        raw.mq_timedsend(full, b"hello", 0, at(deadline))
    assert time.time_ns() >= deadline


@rule("mq_send.6", "mq_timedsend.6")
def test_the_waiter_of_the_highest_priority_sends_first(full, send, real_time):
    def wait(priority, message):
        real_time(priority)
        send(full, message, 0)

    calls = []
    for priority, message in ((10, b"low"), (30, b"high, first"), (20, b"middle"), (30, b"high, second")):
        calls.append(Call(wait, priority, message))
        calls[-1].wait_until_blocked()
    assert came_after_the_fillers(full, calls) == [b"high, first", b"high, second", b"middle", b"low"]


@rule("mq_send.15", "mq_timedsend.21")
def test_waiters_of_equal_priority_send_in_the_order_that_they_came(full, send):
    calls = []
    for message in (b"first", b"second", b"third"):
        calls.append(Call(send, full, message, 0))
        calls[-1].wait_until_blocked()
    assert came_after_the_fillers(full, calls) == [b"first", b"second", b"third"]


def came_after_the_fillers(full, calls):
    """Make room again and again; return the messages that came into it, in their order."""
    for _ in calls:
        raw.mq_receive(full, 32)
    for call in calls:
        call.result()
    # Those whose turn came after the last filler was taken are still there, in the order that they were let in.
    messages = [message for message, _ in drain(full)]
    return [message for message in messages if not message.startswith(b"filler")]


@rule("mq_send.7", "mq_send.10", "mq_timedsend.7", "mq_timedsend.10")
def test_a_full_queue_is_eagain_without_waiting(full, send, open_queue):
    before = count(full)
    hasty = open_queue(raw.O_WRONLY | raw.O_NONBLOCK)
    with fails(errno.EAGAIN):
        send(hasty, b"hello", 0)
    assert count(full) == before
    assert (b"hello", 0) not in drain(full)


@rule("mq_send.8", "mq_timedsend.8")
def test_sending_succeeds(mqd, send):
    assert send(mqd, b"hello", 0) is None


@rule("mq_send.9", "mq_timedsend.9")
def test_a_failure_is_an_errno_and_sends_nothing(mqd, send, open_queue):
    attempts = (
        (errno.EMSGSIZE, mqd, bytes(33), 0),
        (errno.EINVAL, mqd, b"", raw.MQ_PRIO_MAX),
        (errno.EBADF, open_queue(raw.O_RDONLY), b"", 0),
    )
    for number, *arguments in attempts:
        with fails(number):
            send(*arguments)
        assert count(mqd) == 0


@rule("mq_send.11", "mq_timedsend.11")
def test_what_is_not_open_for_sending_is_ebadf(mqd, send, open_queue):
    with open("/proc/self/status") as file:
        for bad in (open_queue(raw.O_RDONLY), file.fileno(), -1, 2**31 - 1):
            with fails(errno.EBADF):
                send(bad, b"hello", 0)
    assert count(mqd) == 0


@rule("mq_send.12", "mq_timedsend.12")
def test_a_signal_is_eintr(full, peer, send_source):
    peer.do("before = signal.signal(signal.SIGUSR1, lambda number, frame: None)")
    peer.do("mqd = raw.mq_open(name, raw.O_WRONLY)")
    peer.do("message = b'late'")
    peer.start(send_source)
    peer.wait_until_blocked()
    peer.signal(signal.SIGUSR1)
    with fails(errno.EINTR):
        peer.result()
    assert (b"late", 0) not in drain(full)


@rule("mq_send.16", "mq_timedsend.22")
def test_a_message_may_be_empty(mqd, send):
    send(mqd, b"", 1)
    assert drain(mqd) == [(b"", 1)]


@rule("mq_send.17", "mq_timedsend.23")
def test_a_message_that_somebody_waits_for_goes_to_them(mqd, send, open_queue):
    receiver = Call(raw.mq_receive, mqd, 32)
    receiver.wait_until_blocked()
    send(mqd, b"hello", 2)
    assert receiver.result() == (b"hello", 2)
    assert count(mqd) == 0


@rule("mq_send.18", "mq_timedsend.24")
def test_waiters_of_an_ordinary_policy_are_ordered_by_nice_on_linux(full, send, become_nice):
    def wait(nice, message):
        become_nice(nice)
        send(full, message, 0)

    calls = []
    for nice, message in ((15, b"low"), (5, b"high"), (10, b"middle")):
        calls.append(Call(wait, nice, message))
        calls[-1].wait_until_blocked()
    assert came_after_the_fillers(full, calls) == [b"high", b"middle", b"low"]


@rule("mq_timedsend.15")
def test_a_time_that_has_passed_does_not_wait(full):
    for past in (PAST, at(time.time_ns() - 1)):
        with fails(errno.ETIMEDOUT):
            raw.mq_timedsend(full, b"hello", 0, past)


@rule("mq_timedsend.16")
def test_the_time_is_the_real_time_clocks(full):
    """Not the monotonic clock's, which is decades behind, so that its times have all passed."""
    with fails(errno.ETIMEDOUT):
        raw.mq_timedsend(full, b"hello", 0, at(time.monotonic_ns() + 3600 * 10**9))
    deadline = time.clock_gettime_ns(time.CLOCK_REALTIME) + 30_000_000
    with fails(errno.ETIMEDOUT):
        raw.mq_timedsend(full, b"hello", 0, at(deadline))
    assert time.clock_gettime_ns(time.CLOCK_REALTIME) >= deadline


@rule("mq_timedsend.17")
def test_the_time_is_as_fine_as_the_clock(full):
    """Deadlines within one tick of a coarse clock, 4 ms, end one after the other, and none early."""
    for microseconds in (300, 600, 1200, 2400):
        deadline = time.time_ns() + microseconds * 1000
        with fails(errno.ETIMEDOUT):
            raw.mq_timedsend(full, b"hello", 0, at(deadline))
        assert time.time_ns() >= deadline
    assert time.clock_getres(time.CLOCK_REALTIME) <= 0.000_001


@rule("mq_timedsend.18")
def test_room_means_that_the_time_does_not_matter(mqd):
    for passed in (PAST, raw.timespec(0, 0), at(time.time_ns() - 10**9)):
        raw.mq_timedsend(mqd, b"hello", 0, passed)
        raw.mq_receive(mqd, 32)


@rule("mq_timedsend.25")
def test_a_time_that_is_none_is_einval_on_linux_even_with_room(mqd):
    """The standard lets a system look at the time or not when it need not wait; Linux looks."""
    for bad in (raw.timespec(0, -1), raw.timespec(0, 10**9), raw.timespec(-1, 0)):
        with fails(errno.EINVAL):
            raw.mq_timedsend(mqd, b"hello", 0, bad)
    assert count(mqd) == 0


@rule("mq_timedsend.19")
def test_nanoseconds_out_of_range_are_einval(full):
    for nanoseconds in (-1, 10**9, 2**40):
        with fails(errno.EINVAL):
            raw.mq_timedsend(full, b"hello", 0, raw.timespec(2**31, nanoseconds))


@rule("mq_timedsend.20")
def test_no_room_in_time_is_etimedout(full):
    fillers = [(b"filler %d" % number, 0) for number in range(4)]
    with fails(errno.ETIMEDOUT):
        raw.mq_timedsend(full, b"hello", 0, soon(0.02))
    assert drain(full) == fillers
    fill(full)
