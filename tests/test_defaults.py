"""Defaults and constants: read from the system, when a queue is made."""

from __future__ import annotations

import importlib.metadata
import os
import signal

import pytest
from helpers import sysctl

import posix_ipc_swig
from posix_ipc_swig import O_CREX, MessageQueue

PROMISED = [
    "MessageQueue",
    "unlink_message_queue",
    "O_CREAT",
    "O_EXCL",
    "O_CREX",
    "O_TRUNC",
    "O_RDONLY",
    "O_WRONLY",
    "O_RDWR",
    "O_NONBLOCK",
    "MESSAGE_QUEUES_SUPPORTED",
    "QUEUE_MESSAGES_MAX_DEFAULT",
    "QUEUE_MESSAGE_SIZE_MAX_DEFAULT",
    "QUEUE_PRIORITY_MAX",
    "USER_SIGNAL_MIN",
    "USER_SIGNAL_MAX",
    "VERSION",
    "__version__",
    "Error",
    "BusyError",
    "ExistentialError",
    "PermissionsError",
    "SignalError",
    "limits",
    "queue_bytes",
    "fits",
]


@pytest.mark.parametrize("promised", PROMISED)
def test_the_module_has_what_it_promises(promised):
    assert hasattr(posix_ipc_swig, promised)
    assert promised in posix_ipc_swig.__all__


def test_flags_are_the_systems():
    for name in ("O_CREAT", "O_EXCL", "O_TRUNC", "O_RDONLY", "O_WRONLY", "O_RDWR", "O_NONBLOCK"):
        assert getattr(posix_ipc_swig, name) == getattr(os, name)
    assert O_CREX == os.O_CREAT | os.O_EXCL


def test_real_time_signals_are_the_systems():
    assert signal.SIGRTMIN == posix_ipc_swig.USER_SIGNAL_MIN
    assert signal.SIGRTMAX == posix_ipc_swig.USER_SIGNAL_MAX


def test_queues_are_supported_here():
    assert posix_ipc_swig.MESSAGE_QUEUES_SUPPORTED is True


def test_the_highest_priority_is_the_systems():
    assert posix_ipc_swig.QUEUE_PRIORITY_MAX == 32767
    assert os.sysconf("SC_MQ_PRIO_MAX") in (posix_ipc_swig.QUEUE_PRIORITY_MAX + 1, -1)


def test_the_version_is_the_installed_packages():
    assert type(posix_ipc_swig.VERSION) is str
    assert posix_ipc_swig.__version__ == posix_ipc_swig.VERSION
    assert importlib.metadata.version("posix_ipc_swig") == posix_ipc_swig.VERSION


def test_the_constants_are_what_a_new_queue_gets(name):
    with MessageQueue(name, O_CREX) as queue:
        queue.unlink()
        capacity = queue.max_messages, queue.max_message_size
    assert capacity == (
        min(sysctl("msg_default"), sysctl("msg_max")),
        min(sysctl("msgsize_default"), sysctl("msgsize_max")),
    )
    assert capacity == (
        posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT,
        posix_ipc_swig.QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
    )


def test_the_constants_may_be_given_as_they_are(name):
    with MessageQueue(
        name,
        O_CREX,
        max_messages=posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT,
        max_message_size=posix_ipc_swig.QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
    ) as queue:
        queue.unlink()
        assert queue.max_messages == posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT


def test_a_new_queue_gets_the_defaults_of_the_moment(run_in_namespace):
    run_in_namespace(
        """
        import posix_ipc_swig
        from posix_ipc_swig import MessageQueue, O_CREAT, O_CREX

        def capacity(flags=O_CREX, **given):
            with MessageQueue("/new", flags, **given) as queue:
                queue.unlink()
                return queue.max_messages, queue.max_message_size

        at_import = posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT, posix_ipc_swig.QUEUE_MESSAGE_SIZE_MAX_DEFAULT
        assert capacity() == at_import == (10, 8192)
        set_limit("msg_default", 5)
        set_limit("msgsize_default", 512)
        assert capacity() == capacity(O_CREAT) == (5, 512)
        assert capacity(max_messages=None, max_message_size=None) == (5, 512)
        assert capacity(max_messages=3) == (3, 512)
        assert capacity(max_message_size=64) == (5, 64)
        assert capacity(max_messages=3, max_message_size=64) == (3, 64)
        set_limit("msg_default", 7)
        assert capacity() == (7, 512)
        set_limit("msg_max", 4)
        set_limit("msgsize_max", 256)
        assert capacity() == (4, 256)
        assert capacity(max_messages=3) == (3, 256)
        assert capacity(max_message_size=64) == (4, 64)
        now = posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT, posix_ipc_swig.QUEUE_MESSAGE_SIZE_MAX_DEFAULT
        assert now == at_import
        """
    )


def test_defaults_follow_the_process_into_another_namespace(run_in_namespace):
    """Not the namespace that the library was imported in, let alone the machine that it was built on."""
    run_in_namespace(
        """
        import ctypes, os
        from posix_ipc_swig import MessageQueue, O_CREX

        def capacity(**given):
            with MessageQueue("/new", O_CREX, **given) as queue:
                queue.unlink()
                return queue.max_messages, queue.max_message_size

        set_limit("msg_default", 5)
        set_limit("msgsize_default", 512)
        assert capacity() == capacity(max_messages=5) == (5, 512)
        CLONE_NEWIPC = 0x8000000
        assert ctypes.CDLL(None).unshare(CLONE_NEWIPC) == 0
        assert capacity() == (10, 8192)
        assert capacity(max_messages=3) == (3, 8192)
        assert capacity(max_message_size=64) == (10, 64)
        """
    )


def test_the_constants_show_the_defaults_at_import(run_in_namespace):
    run_in_namespace(
        """
        set_limit("msg_default", 5)
        set_limit("msgsize_default", 512)
        import posix_ipc_swig

        assert posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT == 5
        assert posix_ipc_swig.QUEUE_MESSAGE_SIZE_MAX_DEFAULT == 512
        """
    )
