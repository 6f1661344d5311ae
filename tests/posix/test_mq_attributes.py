"""mq_getattr() and mq_setattr(): POSIX.1-2017, System Interfaces; struct mq_attr: <mqueue.h>."""

from __future__ import annotations

import errno
import os

import pytest
from posix_support import ATTR, count, fails

from posix_ipc_swig import raw

rule = pytest.mark.rule

NONBLOCK = raw.mq_attr(mq_flags=raw.O_NONBLOCK)


@rule("mq_getattr.1")
def test_it_tells_flags_capacity_and_messages(mqd):
    raw.mq_send(mqd, b"hello", 0)
    assert raw.mq_getattr(mqd) == raw.mq_attr(
        mq_flags=0, mq_maxmsg=ATTR.mq_maxmsg, mq_msgsize=ATTR.mq_msgsize, mq_curmsgs=1
    )


@rule("mq_getattr.2")
def test_flags_are_those_of_the_open_and_of_the_last_setattr(mqd, open_queue):
    hasty = open_queue(raw.O_RDONLY | raw.O_NONBLOCK)
    assert raw.mq_getattr(mqd).mq_flags == 0
    assert raw.mq_getattr(hasty).mq_flags == raw.O_NONBLOCK
    raw.mq_setattr(mqd, NONBLOCK)
    assert raw.mq_getattr(mqd).mq_flags == raw.O_NONBLOCK
    raw.mq_setattr(mqd, raw.mq_attr())
    assert raw.mq_getattr(mqd).mq_flags == 0


@rule("mq_getattr.3")
def test_the_capacity_is_that_of_the_making(open_queue, peer):
    made = open_queue(attr=raw.mq_attr(mq_maxmsg=3, mq_msgsize=17))
    for mqd in (made, open_queue(raw.O_RDONLY), open_queue(raw.O_RDWR | raw.O_CREAT, attr=ATTR)):
        attr = raw.mq_getattr(mqd)
        assert (attr.mq_maxmsg, attr.mq_msgsize) == (3, 17)
    there = "(lambda attr: (attr.mq_maxmsg, attr.mq_msgsize))(raw.mq_getattr(raw.mq_open(name, raw.O_WRONLY)))"
    assert peer.do(there) == (3, 17)


@rule("mq_getattr.4")
def test_it_counts_the_messages_that_are_there(mqd, open_queue):
    other = open_queue(raw.O_RDONLY)
    for expected in (1, 2, 3):
        raw.mq_send(mqd, b"hello", 0)
        assert (count(mqd), count(other)) == (expected, expected)
    for expected in (2, 1, 0):
        raw.mq_receive(other, 32)
        assert (count(mqd), count(other)) == (expected, expected)


@rule("mq_getattr.5")
def test_asking_succeeds_with_any_access(open_queue, mqd):
    for oflag in (raw.O_RDONLY, raw.O_WRONLY, raw.O_RDWR):
        assert type(raw.mq_getattr(open_queue(oflag))) is raw.mq_attr


@rule("mq_getattr.6", "mq_getattr.7")
def test_what_is_no_queue_cannot_be_asked():
    with open("/proc/self/status") as file:
        for bad in (-1, file.fileno(), 2**31 - 1):
            with fails(errno.EBADF):
                raw.mq_getattr(bad)


@rule("mq_setattr.1")
def test_it_sets_o_nonblock(mqd):
    raw.mq_setattr(mqd, NONBLOCK)
    with fails(errno.EAGAIN):
        raw.mq_receive(mqd, 32)
    assert raw.mq_getattr(mqd).mq_flags == raw.O_NONBLOCK


@rule("mq_setattr.2")
def test_it_returns_what_getattr_would_have(mqd):
    raw.mq_send(mqd, b"hello", 0)
    for new in (NONBLOCK, NONBLOCK, raw.mq_attr(), raw.mq_attr()):
        before = raw.mq_getattr(mqd)
        assert raw.mq_setattr(mqd, new) == before


@rule("mq_setattr.3")
def test_setting_succeeds(mqd):
    raw.mq_setattr(mqd, NONBLOCK)
    assert raw.mq_getattr(mqd).mq_flags == raw.O_NONBLOCK
    raw.mq_setattr(mqd, raw.mq_attr())
    assert raw.mq_getattr(mqd).mq_flags == 0


@rule("mq_setattr.4", "mq_setattr.8")
def test_other_flags_are_einval_on_linux_and_change_nothing(mqd):
    for flags in (raw.O_NONBLOCK | os.O_APPEND, raw.O_RDWR, -1):
        with fails(errno.EINVAL):
            raw.mq_setattr(mqd, raw.mq_attr(mq_flags=flags))
        assert raw.mq_getattr(mqd).mq_flags == 0


@rule("mq_setattr.5")
def test_what_is_no_queue_is_ebadf():
    with open("/proc/self/status") as file:
        for bad in (-1, file.fileno(), 2**31 - 1):
            with fails(errno.EBADF):
                raw.mq_setattr(bad, raw.mq_attr())


@rule("mq_setattr.6")
def test_the_rest_of_the_attributes_is_ignored(mqd):
    raw.mq_send(mqd, b"hello", 0)
    raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK, mq_maxmsg=1, mq_msgsize=-5, mq_curmsgs=0))
    assert raw.mq_getattr(mqd) == raw.mq_attr(raw.O_NONBLOCK, ATTR.mq_maxmsg, ATTR.mq_msgsize, 1)
    raw.mq_send(mqd, bytes(32), 0)


@rule("mq_setattr.7")
def test_flags_belong_to_the_open_description(mqd, open_queue, peer):
    """A descriptor of its own has its own; a copy, or a child's, has the same."""
    other = open_queue(raw.O_RDWR)
    copy = os.dup(mqd)
    try:
        raw.mq_setattr(mqd, NONBLOCK)
        assert raw.mq_getattr(copy).mq_flags == raw.O_NONBLOCK
        assert raw.mq_getattr(other).mq_flags == 0
    finally:
        raw.mq_close(copy)
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    peer.do(
        """(lambda pid: os.waitpid(pid, 0) if pid else os._exit(
            raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK)).mq_flags))(os.fork())"""
    )
    assert peer.do("raw.mq_getattr(mqd).mq_flags") == raw.O_NONBLOCK


@rule("mq_setattr.10")
def test_a_call_that_waits_goes_on_waiting(mqd, peer):
    """The flag counts when a call begins."""
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    peer.do("waiter = threading.Thread(target=lambda: came.append(raw.mq_receive(mqd, 32)))", came=[])
    peer.do("waiter.start()")
    peer.wait_until_blocked("waiter.native_id")
    peer.do("before = raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK))")
    raw.mq_send(mqd, b"hello", 0)
    peer.do("waiter.join()")
    assert peer.do("came") == [(b"hello", 0)]
