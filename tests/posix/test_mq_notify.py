"""mq_notify(): POSIX.1-2017, System Interfaces, and mq_notify(3).

Signals go to another process, which keeps them blocked and takes them with signalfd(2): so none can get lost, and that
none came is known without waiting, as a signal is pending before the mq_send() that caused it returns.
"""

from __future__ import annotations

import errno
import os
import queue
import signal

import pytest
from posix_support import LIMIT, Call, fails, fill, signal_me

from posix_ipc_swig import raw

rule = pytest.mark.rule

NUMBER = int(signal.SIGUSR1)
SI_MESGQ = -3  # asm-generic/siginfo.h
NOTHING = raw.sigevent(sigev_notify=raw.SIGEV_NONE)


@pytest.fixture
def listener(mqd, start_peer):
    """Start another process that has the queue open as `mqd`, with SIGUSR1 blocked."""

    def start():
        peer = start_peer()
        peer.do("block(number)", number=NUMBER)
        peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
        return peer

    return start


def request(peer, value=0):
    peer.do(f"raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_SIGNAL, number, {value}))")


def notified(peer):
    """Return (si_code, si_int) of the signal that the process has got, or None."""
    return peer.do("next_signal(number, 0)")


@rule("mq_notify.1")
def test_the_process_is_told_when_a_message_comes(mqd, listener):
    peer = listener()
    request(peer, 42)
    assert notified(peer) is None
    raw.mq_send(mqd, b"hello", 0)
    assert notified(peer) == (SI_MESGQ, 42)


@rule("mq_notify.2", "mq_notify.9")
def test_one_process_at_a_time_has_the_request(mqd, listener):
    first, second = listener(), listener()
    request(first)
    with fails(errno.EBUSY):
        request(second)
    raw.mq_send(mqd, b"hello", 0)
    assert notified(first)
    assert notified(second) is None


@rule("mq_notify.3")
def test_null_cancels(mqd, listener):
    first, second = listener(), listener()
    request(first)
    first.do("raw.mq_notify(mqd, None)")
    request(second)
    raw.mq_send(mqd, b"hello", 0)
    assert notified(first) is None
    assert notified(second)


@rule("mq_notify.4")
def test_a_notification_ends_the_request(mqd, listener):
    first, second = listener(), listener()
    request(first)
    raw.mq_send(mqd, b"one", 0)
    assert notified(first)
    raw.mq_receive(mqd, 32)
    raw.mq_send(mqd, b"two", 0)
    assert notified(first) is None
    request(second)
    raw.mq_receive(mqd, 32)
    raw.mq_send(mqd, b"three", 0)
    assert notified(second)


@rule("mq_notify.5")
def test_a_receiver_that_waits_comes_before_the_request(mqd, listener):
    peer = listener()
    request(peer)
    receiver = Call(raw.mq_receive, mqd, 32)
    receiver.wait_until_blocked()
    raw.mq_send(mqd, b"one", 0)
    assert receiver.result() == (b"one", 0)
    assert notified(peer) is None
    raw.mq_send(mqd, b"two", 0)
    assert notified(peer)


@rule("mq_notify.6")
def test_requesting_succeeds(mqd):
    assert raw.mq_notify(mqd, NOTHING) is None
    assert raw.mq_notify(mqd, None) is None


@rule("mq_notify.7")
def test_a_failure_is_an_errno_and_leaves_the_request_that_is(mqd, listener):
    peer = listener()
    request(peer)
    with pytest.raises(OSError) as caught:
        raw.mq_notify(mqd, NOTHING)
    assert caught.value.errno == errno.EBUSY
    raw.mq_send(mqd, b"hello", 0)
    assert notified(peer)


@rule("mq_notify.8")
def test_what_is_no_queue_is_ebadf():
    with open("/proc/self/status") as file:
        for bad in (-1, file.fileno(), 2**31 - 1):
            for event in (NOTHING, None, signal_me(NUMBER)):
                with fails(errno.EBADF):
                    raw.mq_notify(bad, event)


@rule("mq_notify.10")
def test_a_message_to_a_queue_that_is_not_empty_tells_nobody(mqd, listener):
    peer = listener()
    raw.mq_send(mqd, b"there before", 0)
    request(peer)
    raw.mq_send(mqd, b"second", 9)
    assert notified(peer) is None
    for _ in range(2):
        raw.mq_receive(mqd, 32)
    assert notified(peer) is None
    raw.mq_send(mqd, b"first of an empty queue", 0)
    assert notified(peer)


@rule("mq_notify.11")
def test_null_of_a_process_without_a_request_leaves_anothers(mqd, listener):
    peer = listener()
    request(peer)
    assert raw.mq_notify(mqd, None) is None
    raw.mq_send(mqd, b"hello", 0)
    assert notified(peer)


@rule("mq_notify.12")
def test_null_without_a_request_succeeds_on_linux(mqd):
    assert raw.mq_notify(mqd, None) is None


@rule("mq_notify.13")
def test_the_same_process_gets_ebusy_too_on_linux(mqd, open_queue):
    raw.mq_notify(mqd, NOTHING)
    for again in (mqd, open_queue(raw.O_RDWR)):
        with fails(errno.EBUSY):
            raw.mq_notify(again, NOTHING)


@rule("mq_notify.14")
def test_sigev_none_takes_the_request_and_says_nothing(mqd, listener):
    peer = listener()
    peer.do("raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE, number))")
    with fails(errno.EBUSY):
        raw.mq_notify(mqd, NOTHING)
    raw.mq_send(mqd, b"hello", 0)
    assert notified(peer) is None
    raw.mq_notify(mqd, NOTHING)


@rule("mq_notify.15")
def test_sigev_thread_calls_the_function(mqd):
    came = queue.Queue()
    raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_THREAD, sigev_value=42, sigev_notify_function=came.put))
    raw.mq_send(mqd, b"hello", 0)
    assert came.get(timeout=LIMIT) == 42


@rule("mq_notify.16")
def test_the_signal_says_who_sent_the_message(mqd, listener):
    peer = listener()
    request(peer)
    peer.do(
        """def sender():
    mask = (ctypes.c_ubyte * 128)()
    libc.sigemptyset(mask)
    libc.sigaddset(mask, number)
    fd = libc.signalfd(-1, mask, 0)
    info = os.read(fd, 128)
    os.close(fd)
    return struct.unpack_from("=I", info, 12) + struct.unpack_from("=I", info, 16)
"""
    )
    raw.mq_send(mqd, b"hello", 0)
    assert peer.do("sender()") == (os.getpid(), os.getuid())


@rule("mq_notify.17")
def test_what_is_no_way_to_notify_is_einval_on_linux(mqd):
    for kind in (99, -1):
        with fails(errno.EINVAL):
            raw.mq_notify(mqd, raw.sigevent(sigev_notify=kind))
    raw.mq_notify(mqd, NOTHING)


@rule("mq_notify.18")
def test_what_is_no_signal_is_einval_on_linux(mqd):
    for number in (-1, 65, 1000):
        with fails(errno.EINVAL):
            raw.mq_notify(mqd, signal_me(number))
    raw.mq_notify(mqd, NOTHING)


@rule("mq_notify.19")
def test_any_descriptor_of_the_process_cancels_on_linux(mqd, open_queue, listener):
    raw.mq_notify(mqd, NOTHING)
    raw.mq_notify(open_queue(raw.O_RDONLY), None)
    request(listener())


@rule("mq_notify.20")
def test_a_child_has_no_part_in_its_parents_request(mqd, listener):
    """Neither does its exit end it."""
    peer = listener()
    request(peer)
    status = peer.do(
        """(lambda pid: os.waitpid(pid, 0)[1] if pid else os._exit(
            raw.mq_notify(mqd, None) is not None or raw.mq_close(mqd) is not None))(os.fork())"""
    )
    assert status == 0
    with fails(errno.EBUSY):
        raw.mq_notify(mqd, NOTHING)
    raw.mq_send(mqd, b"hello", 0)
    assert notified(peer)


@rule("mq_notify.21")
def test_a_process_that_may_only_send_may_request(full, open_queue):
    writer = open_queue(raw.O_WRONLY)
    raw.mq_notify(writer, NOTHING)
    with fails(errno.EBUSY):
        raw.mq_notify(full, NOTHING)
    with fails(errno.EAGAIN):
        fill(open_queue(raw.O_RDWR | raw.O_NONBLOCK))
