"""mq_close() and mq_unlink(): POSIX.1-2017, System Interfaces."""

from __future__ import annotations

import errno
import os
import signal

import pytest
from posix_support import ATTR, CREATE, Call, count, drain, fails, signal_me

from posix_ipc_swig import raw

rule = pytest.mark.rule


@rule("mq_close.1")
def test_closing_succeeds(name):
    assert raw.mq_close(raw.mq_open(name, CREATE, 0o600, ATTR)) is None


@rule("mq_close.2")
def test_closing_ends_the_notification_request(mqd, open_queue, peer):
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    request = "raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))"
    other = open_queue(raw.O_RDWR)
    raw.mq_notify(other, raw.sigevent(raw.SIGEV_NONE))
    with fails(errno.EBUSY):
        peer.do(request)
    raw.mq_close(other)
    peer.do(request)


@rule("mq_close.3")
def test_what_is_no_descriptor_is_ebadf(name):
    closed = raw.mq_open(name, CREATE, 0o600, ATTR)
    raw.mq_close(closed)
    for bad in (-1, closed, 2**31 - 1):
        with fails(errno.EBADF):
            raw.mq_close(bad)


@rule("mq_close.4", "mq_close.5")
def test_a_closed_descriptor_is_no_queues_any_more(peer):
    """In a process with one thread, where no other file can get the number meanwhile."""
    peer.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600)")
    peer.do("raw.mq_close(mqd)")
    for use in (
        "raw.mq_getattr(mqd)",
        "raw.mq_setattr(mqd, raw.mq_attr())",
        "raw.mq_send(mqd, b'', 0)",
        "raw.mq_receive(mqd, 8192)",
        "raw.mq_notify(mqd, None)",
        "raw.mq_close(mqd)",
    ):
        with fails(errno.EBADF):
            peer.do(use)


@rule("mq_close.6")
def test_others_and_their_messages_stay(mqd, open_queue, peer):
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    other = open_queue(raw.O_RDWR)
    raw.mq_send(other, b"hello", 0)
    raw.mq_close(other)
    assert count(mqd) == 1
    assert peer.do("raw.mq_receive(mqd, 32)") == (b"hello", 0)


@rule("mq_close.7")
def test_any_file_is_closed_on_linux(peer):
    assert peer.do("raw.mq_close(os.open('/', os.O_RDONLY))") is None
    peer.do("fd = os.open('/', os.O_RDONLY)")
    peer.do("raw.mq_close(fd)")
    with fails(errno.EBADF):
        peer.do("os.fstat(fd)")


@rule("mq_close.8")
def test_closing_any_descriptor_of_the_process_ends_its_request_on_linux(mqd, open_queue, peer):
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    other = open_queue(raw.O_RDWR)
    raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))
    raw.mq_close(other)
    peer.do("raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))")


@rule("mq_close.9")
def test_a_process_that_ends_closes_and_its_request_ends(mqd, start_peer):
    peer = start_peer()
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    peer.do("raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))")
    with fails(errno.EBUSY):
        raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))
    peer.exit()
    raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))


@rule("mq_unlink.1")
def test_the_name_is_gone(mqd, name):
    raw.mq_unlink(name)
    for oflag in (raw.O_RDONLY, raw.O_WRONLY, raw.O_RDWR):
        with fails(errno.ENOENT):
            raw.mq_open(name, oflag)


@rule("mq_unlink.2")
def test_the_queue_lives_on_until_all_have_closed(mqd, name, open_queue, peer):
    other = open_queue(raw.O_RDWR)
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    raw.mq_unlink(name)
    raw.mq_close(other)
    raw.mq_send(mqd, b"to you", 0)
    assert peer.do("raw.mq_receive(mqd, 32)") == (b"to you", 0)
    peer.do("raw.mq_send(mqd, b'to me', 0)")
    assert raw.mq_receive(mqd, 32) == (b"to me", 0)


@rule("mq_unlink.3")
def test_unlinking_succeeds(mqd, name):
    assert raw.mq_unlink(name) is None


@rule("mq_unlink.4")
def test_a_failure_is_an_errno_and_changes_nothing(mqd, name):
    raw.mq_send(mqd, b"hello", 0)
    with fails(errno.ENOENT):
        raw.mq_unlink(name + "x")
    with fails(errno.ENAMETOOLONG):
        raw.mq_unlink(name.ljust(257, "x"))
    other = raw.mq_open(name, raw.O_RDWR)
    assert drain(other) == [(b"hello", 0)]
    raw.mq_close(other)


@rule("mq_unlink.5")
def test_a_queue_of_another_user_is_eacces(mqd, root, unprivileged):
    os.fchmod(mqd, 0o666)
    with fails(errno.EACCES):
        unprivileged.do("raw.mq_unlink(name)")
    unprivileged.do("raw.mq_close(raw.mq_open(name, raw.O_RDWR))")


@rule("mq_unlink.11")
def test_a_folder_that_may_not_change_is_eacces(mounted):
    mounted.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 1))")
    mounted.do("os.chmod(root, 0o555)")
    mounted.do("drop_capabilities()")
    with fails(errno.EACCES):
        mounted.do("raw.mq_unlink(name)")
    assert mounted.do("os.path.exists(path)")


@rule("mq_unlink.6")
def test_a_name_that_is_too_long_is_enametoolong(name):
    for length in (257, 5000):
        with fails(errno.ENAMETOOLONG):
            raw.mq_unlink(name.ljust(length, "x"))


@rule("mq_unlink.7")
def test_a_queue_that_does_not_exist_is_enoent(mqd, name):
    raw.mq_unlink(name)
    with fails(errno.ENOENT):
        raw.mq_unlink(name)


@rule("mq_unlink.9")
def test_the_name_makes_another_queue_at_once_on_linux(mqd, name, open_queue):
    raw.mq_send(mqd, b"old", 0)
    raw.mq_unlink(name)
    new = open_queue(CREATE)
    assert os.fstat(new).st_ino != os.fstat(mqd).st_ino
    raw.mq_send(new, b"new", 0)
    assert drain(mqd) == [(b"old", 0)]
    assert drain(new) == [(b"new", 0)]


@rule("mq_unlink.10")
def test_unlinking_waits_for_nobody(mqd, name, peer):
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    peer.start("raw.mq_receive(mqd, 32)")
    peer.wait_until_blocked()
    Call(raw.mq_unlink, name).result()
    with fails(errno.ENOENT):
        raw.mq_open(name, raw.O_RDONLY)
    raw.mq_send(mqd, b"hello", 0)
    assert peer.result() == (b"hello", 0)


@rule("mq_unlink.12")
def test_a_notification_request_outlives_the_name(mqd, name, peer):
    peer.do("block(number)", number=int(signal.SIGUSR1))
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    peer.do("raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_SIGNAL, number, 7))")
    raw.mq_unlink(name)
    raw.mq_send(mqd, b"hello", 0)
    assert peer.do("next_signal(number)")[1] == signal_me(signal.SIGUSR1, 7).sigev_value
