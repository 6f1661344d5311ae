"""Creation: flags, permission bits, capacity, and what a handle may do."""

from __future__ import annotations

import os
import stat

import pytest
from helpers import drain, open_descriptors, type_name

from posix_ipc_swig import (
    O_CREAT,
    O_CREX,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    ExistentialError,
    MessageQueue,
    PermissionsError,
)

HUGE = [2**31, 2**63 - 1, 2**63, 2**64, 2**64 + 1, 10**30]


def assert_no_queue(name):
    with pytest.raises(FileNotFoundError):
        MessageQueue(name)


def test_flags_of_zero_open_an_existing_queue(queue, make_queue):
    queue.send("hello")
    assert make_queue(queue.name, flags=0).receive(0) == (b"hello", 0)


def test_flags_of_zero_make_no_queue(name):
    for _ in range(2):
        with pytest.raises(ExistentialError):
            MessageQueue(name, 0)


def test_o_creat_makes_a_queue(make_queue, name):
    queue = make_queue(name, flags=O_CREAT, max_messages=3, max_message_size=17)
    assert (queue.max_messages, queue.max_message_size, queue.current_messages) == (3, 17, 0)


def test_o_creat_opens_an_existing_queue_as_it_is(queue, make_queue):
    queue.send("hello")
    other = make_queue(queue.name, flags=O_CREAT, max_messages=2, max_message_size=5)
    assert (other.max_messages, other.max_message_size) == (4, 64)
    assert other.receive(0) == (b"hello", 0)


def test_o_crex_refuses_an_existing_queue_and_leaves_it_alone(queue):
    queue.send("hello")
    with pytest.raises(ExistentialError):
        MessageQueue(queue.name, O_CREX, max_messages=1, max_message_size=1)
    assert drain(queue) == [(b"hello", 0)]
    assert (queue.max_messages, queue.max_message_size) == (4, 64)


def test_arguments_may_go_by_position(make_queue, name):
    queue = MessageQueue(name, O_CREX, 0o640, 3, 17, True, False)
    with queue:
        assert (queue.mode, queue.max_messages, queue.max_message_size) == (0o640, 3, 17)
        queue.unlink()
        with pytest.raises(PermissionsError):
            queue.send("x")


def test_only_the_name_is_needed(queue):
    with MessageQueue(queue.name) as other:
        other.send("hello", 0)
    assert queue.receive(0) == (b"hello", 0)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o200, 0])
def test_mode_is_the_permission_bits_less_the_umask(make_queue, mode):
    old = os.umask(0o022)
    try:
        queue = make_queue(mode=mode)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.fstat(queue.mqd).st_mode) == mode & ~0o022


def test_only_the_owner_may_open_a_queue_by_default(name):
    old = os.umask(0)
    try:
        queue = MessageQueue(name, O_CREX, max_messages=1, max_message_size=1)
    finally:
        os.umask(old)
    with queue:
        queue.unlink()
        assert stat.S_IMODE(os.fstat(queue.mqd).st_mode) == 0o600


@pytest.mark.parametrize("mode", [-1, 0o10000, 2**31, 2**32 + 0o600, 2**64, -(2**64)])
def test_a_mode_out_of_range_is_a_value_error(name, mode):
    with pytest.raises(ValueError):
        MessageQueue(name, O_CREX, mode=mode, max_messages=1, max_message_size=1)
    assert_no_queue(name)


@pytest.mark.parametrize("mode", ["0600", 1.5, None, b"", object()], ids=type_name)
def test_a_mode_of_a_wrong_type_is_a_type_error(name, mode):
    with pytest.raises(TypeError):
        MessageQueue(name, O_CREX, mode=mode, max_messages=1, max_message_size=1)
    assert_no_queue(name)


@pytest.mark.parametrize("parameter", ["max_messages", "max_message_size"])
@pytest.mark.parametrize("number", [0, -1, -(2**31), -(2**63), -(2**64) + 1, -(10**30)])
def test_a_capacity_below_one_is_a_value_error(name, parameter, number):
    with pytest.raises(ValueError):
        MessageQueue(name, O_CREX, **{"max_messages": 1, "max_message_size": 1, parameter: number})
    assert_no_queue(name)


@pytest.mark.parametrize("parameter", ["max_messages", "max_message_size"])
@pytest.mark.parametrize("number", HUGE)
def test_a_capacity_beyond_all_limits_is_a_value_error(name, parameter, number):
    # 2**64 + 1 would be 1 to a conversion that cuts.
    with pytest.raises((ValueError, OverflowError)):
        MessageQueue(name, O_CREX, **{"max_messages": 1, "max_message_size": 1, parameter: number})
    assert_no_queue(name)


@pytest.mark.parametrize("parameter", ["max_messages", "max_message_size"])
@pytest.mark.parametrize("number", ["8", 8.0, b"8", [8], object()], ids=type_name)
def test_a_capacity_of_a_wrong_type_is_a_type_error(name, parameter, number):
    with pytest.raises(TypeError):
        MessageQueue(name, O_CREX, **{"max_messages": 1, "max_message_size": 1, parameter: number})
    assert_no_queue(name)


@pytest.mark.parametrize("number", [10**6, 2**64])
def test_capacity_is_ignored_when_an_existing_queue_is_opened(queue, make_queue, number):
    other = make_queue(queue.name, flags=0, max_messages=number, max_message_size=number)
    assert (other.max_messages, other.max_message_size) == (4, 64)


@pytest.mark.parametrize("flags", [O_EXCL, O_EXCL | O_NONBLOCK, 1 << 30, O_CREX | 1 << 30, 1 << 70, -1, -(2**70)])
def test_flags_that_make_no_sense_are_a_value_error(name, flags):
    with pytest.raises(ValueError):
        MessageQueue(name, flags, max_messages=1, max_message_size=1)
    assert_no_queue(name)


@pytest.mark.parametrize("flags", ["0", None, 1.0, object()], ids=type_name)
def test_flags_of_a_wrong_type_are_a_type_error(name, flags):
    with pytest.raises(TypeError):
        MessageQueue(name, flags, max_messages=1, max_message_size=1)
    assert_no_queue(name)


def test_a_handle_that_may_do_nothing_is_a_value_error(queue, name):
    for given, flags in ((queue.name, 0), (name, O_CREX)):
        with pytest.raises(ValueError):
            MessageQueue(given, flags, max_messages=1, max_message_size=1, read=False, write=False)
    assert_no_queue(name)


def test_a_handle_without_write_only_receives(queue, reopen):
    reader = reopen(queue, write=False)
    for timeout in (None, 0, 60):
        with pytest.raises(PermissionsError):
            reader.send("hello", timeout)
    assert queue.current_messages == 0
    queue.send("hello")
    assert reader.receive() == (b"hello", 0)


def test_a_handle_without_read_only_sends(queue, reopen):
    writer = reopen(queue, read=False)
    writer.send("hello")
    for timeout in (None, 0, 60):
        with pytest.raises(PermissionsError):
            writer.receive(timeout)
    assert drain(queue) == [(b"hello", 0)]


@pytest.mark.parametrize("rights", [{"write": False}, {"read": False}], ids=["reader", "writer"])
def test_the_maker_of_a_queue_may_have_fewer_rights_than_others(make_queue, reopen, rights):
    queue = make_queue(**rights)
    other = reopen(queue)
    other.send("hello")
    assert other.receive(0) == (b"hello", 0)


def test_read_and_write_become_the_access_mode_of_the_descriptor(queue, reopen):
    import fcntl

    for rights, access in (
        ({}, O_RDWR),
        ({"write": False}, O_RDONLY),
        ({"read": False}, O_WRONLY),
    ):
        flags = fcntl.fcntl(reopen(queue, **rights).mqd, fcntl.F_GETFL)
        assert flags & os.O_ACCMODE == access


@pytest.mark.parametrize("flags", [O_NONBLOCK, O_CREAT | O_NONBLOCK, O_CREX | O_NONBLOCK])
def test_o_nonblock_makes_a_handle_that_does_not_block(make_queue, queue, name, flags):
    given = queue.name if flags == O_NONBLOCK else name
    assert make_queue(given, flags=flags).block is False
    assert queue.block is True


def test_queue_descriptors_are_closed_on_exec(queue):
    assert not os.get_inheritable(queue.mqd)


def test_a_failed_open_leaves_no_descriptor(queue, name):
    before = open_descriptors()
    for attempt in (
        lambda: MessageQueue(name),
        lambda: MessageQueue(queue.name, O_CREX),
        lambda: MessageQueue(name, O_CREX, max_messages=2**40),
        lambda: MessageQueue("bad"),
    ):
        with pytest.raises((OSError, ValueError)):
            attempt()
    assert open_descriptors() == before


def test_a_handle_is_opened_once(queue, make_queue):
    other = make_queue()
    before = open_descriptors()
    with pytest.raises(TypeError):
        queue.__init__(other.name)
    queue.send("hello")
    assert other.current_messages == 0
    assert open_descriptors() == before


def test_a_class_may_build_on_message_queue(name):
    class Mailbox(MessageQueue):
        def __init__(self, name):
            super().__init__(name, O_CREX, max_messages=2, max_message_size=16)
            self.sent = 0

        def send(self, message, timeout=None, priority=0):
            super().send(message, timeout=timeout, priority=priority)
            self.sent += 1

    with Mailbox(name) as mailbox:
        mailbox.unlink()
        mailbox.send("hello", priority=2)
        assert (mailbox.sent, mailbox.receive(0)) == (1, (b"hello", 2))


@pytest.mark.parametrize(
    ("flags", "rights"),
    [(os.O_WRONLY, {"write": False}), (os.O_RDWR, {"write": False}), (os.O_RDWR, {"read": False}), (os.O_WRONLY, {})],
)
def test_flags_may_not_contradict_read_and_write(queue, flags, rights):
    with pytest.raises(ValueError, match="contradict"):
        MessageQueue(queue.name, flags, **rights)
    MessageQueue(queue.name, os.O_WRONLY, read=False).close()  # what says the same twice is no contradiction
