"""<mqueue.h>, and what <limits.h>, <signal.h> and <unistd.h> say of message queues: POSIX.1-2017, Base Definitions."""

from __future__ import annotations

import os
import signal
import struct

import pytest
from posix_support import CREATE

from posix_ipc_swig import raw

rule = pytest.mark.rule


@rule("mqueue_h.1")
def test_mq_attr_has_its_four_fields():
    attr = raw.mq_attr(1, 2, 3, 4)
    assert (attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs) == (1, 2, 3, 4)
    most = 2 ** (8 * struct.calcsize("l") - 1) - 1
    for field in ("mq_flags", "mq_maxmsg", "mq_msgsize", "mq_curmsgs"):
        setattr(attr, field, most)
        assert getattr(attr, field) == most


@rule("mqueue_h.2")
def test_a_descriptor_is_a_plain_value(mqd):
    assert type(mqd) is int
    same = int(str(mqd))
    assert raw.mq_getattr(same) == raw.mq_getattr(mqd)


@rule("mqueue_h.3")
def test_the_ten_functions_are_there():
    for function in ("open", "close", "unlink", "send", "timedsend", "receive", "timedreceive"):
        assert callable(getattr(raw, f"mq_{function}"))
    for function in ("notify", "getattr", "setattr"):
        assert callable(getattr(raw, f"mq_{function}"))


@rule("mqueue_h.4")
def test_sigevent_is_there():
    event = raw.sigevent(raw.SIGEV_SIGNAL, int(signal.SIGUSR1), 42, print)
    assert (event.sigev_notify, event.sigev_signo, event.sigev_value) == (raw.SIGEV_SIGNAL, signal.SIGUSR1, 42)
    assert event.sigev_notify_function is print


@rule("mqueue_h.5")
def test_timespec_is_there():
    time = raw.timespec(1, 999_999_999)
    assert (time.tv_sec, time.tv_nsec) == (1, 999_999_999)


@rule("mqueue_h.6")
def test_ways_to_notify_differ():
    assert len({raw.SIGEV_NONE, raw.SIGEV_SIGNAL, raw.SIGEV_THREAD}) == 3


@rule("mqueue_h.7")
def test_flags_are_fcntls():
    for flag in ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_NONBLOCK"):
        assert getattr(raw, flag) == getattr(os, flag)


@rule("mqueue_h.8")
def test_there_are_at_least_32_priorities():
    assert raw.MQ_PRIO_MAX >= 32
    assert os.sysconf("SC_MQ_PRIO_MAX") in (raw.MQ_PRIO_MAX, -1)


@rule("mqueue_h.9")
def test_a_process_may_open_at_least_8_queues(make_name):
    with open("/proc/sys/fs/mqueue/queues_max") as file:
        queues = int(file.read())
    if queues < 16:
        pytest.skip(f"fs.mqueue.queues_max={queues} here, for all processes together")
    names = [make_name() for _ in range(8)]
    opened = []
    try:
        for name in names:
            opened.append(raw.mq_open(name, CREATE, 0o600, raw.mq_attr(0, 1, 1)))
        assert len(set(opened)) == 8
    finally:
        for mqd in opened:
            raw.mq_close(mqd)
    assert os.sysconf("SC_MQ_OPEN_MAX") == -1 or os.sysconf("SC_MQ_OPEN_MAX") >= 8


@rule("mqueue_h.10")
def test_the_system_says_that_it_has_message_queues():
    assert os.sysconf("SC_MESSAGE_PASSING") >= 200112


@rule("mqueue_h.11")
def test_the_system_says_that_it_has_real_time_signals(mqd):
    assert os.sysconf("SC_REALTIME_SIGNALS") >= 200112
    for number in (signal.SIGRTMIN, signal.SIGRTMAX):
        raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_SIGNAL, int(number)))
        raw.mq_notify(mqd, None)
