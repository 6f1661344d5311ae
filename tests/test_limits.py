"""limits(), queue_bytes() and fits(): what they say is what the kernel does."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import re
import subprocess
import time
from pathlib import Path

import pytest
from helpers import CAP_SYS_RESOURCE, LIMIT, has_capability, sysctl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import posix_ipc_swig
from posix_ipc_swig import O_CREX, LimitError, MessageQueue, fits, limits, queue_bytes, raw

KERNELS = ("msg_max", "msgsize_max", "queues_max", "msg_default", "msgsize_default")
FIELDS = (
    *KERNELS,
    "hard_msg_max",
    "hard_msgsize_max",
    "priority_max",
    "name_max",
    "rlimit_msgqueue",
    "may_exceed_sysctls",
    "queues",
    "bytes",
    "user_bytes",
)


def errno_of(name, max_messages, max_message_size):
    """Make a queue and remove it; return the errno, 0 when it was made."""
    attr = raw.mq_attr(0, max_messages, max_message_size)
    try:
        mqd = raw.mq_open(name, raw.O_RDWR | raw.O_CREAT | raw.O_EXCL, 0o600, attr)
    except OSError as error:
        return error.errno
    raw.mq_unlink(name)
    raw.mq_close(mqd)
    return 0


# --- limits() ---------------------------------------------------------------------------------


def test_limits_is_a_frozen_dataclass():
    found = limits()
    assert type(found) is posix_ipc_swig.Limits
    assert tuple(field.name for field in dataclasses.fields(found)) == FIELDS
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.msg_max = 1
    assert pickle.loads(pickle.dumps(found)) == found


def test_limits_are_those_of_the_system():
    found = limits()
    assert {name: getattr(found, name) for name in KERNELS} == {name: sysctl(name) for name in KERNELS}
    assert (found.hard_msg_max, found.hard_msgsize_max) == (65536, 16 * 2**20)
    assert found.priority_max == posix_ipc_swig.QUEUE_PRIORITY_MAX


def test_a_name_may_be_as_long_as_limits_says(name):
    longest = name.ljust(1 + limits().name_max, "x")
    assert errno_of(longest, 1, 1) == 0
    assert errno_of(longest + "x", 1, 1) == errno.ENAMETOOLONG


def test_the_byte_limit_is_the_processs(run_python):
    run_python(
        """
        import resource
        from posix_ipc_swig import limits

        hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
        assert limits().rlimit_msgqueue == resource.getrlimit(resource.RLIMIT_MSGQUEUE)
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (1234, hard))
        assert limits().rlimit_msgqueue == (1234, hard)
        """
    )


def test_limits_change_with_the_system(run_in_namespace):
    run_in_namespace(
        """
        from posix_ipc_swig import limits

        before = limits()
        for name, value in (
            ("msg_max", 20), ("msgsize_max", 1024), ("queues_max", 7), ("msg_default", 5), ("msgsize_default", 512)
        ):
            set_limit(name, value)
            assert getattr(before, name) != value
            assert getattr(limits(), name) == value
        """
    )


def test_limits_say_whether_the_kernel_lets_this_process_exceed_them(name):
    found = limits()
    bound = errno_of(name, found.msg_max + 1, 1) == errno.EINVAL
    assert found.may_exceed_sysctls == (not bound)
    assert found.messages_allowed == (found.msg_max if bound else found.hard_msg_max)
    assert found.message_size_allowed == (found.msgsize_max if bound else found.hard_msgsize_max)


def test_root_of_a_user_namespace_is_bound(run_python):
    """It has CAP_SYS_RESOURCE there, which the kernel does not ask."""
    command = ("unshare", "--user", "--map-root-user", "--ipc")
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace of one's own here")
    run_python(
        """
        from posix_ipc_swig import fits, limits

        found = limits()
        assert not found.may_exceed_sysctls
        assert not fits(found.msg_max + 1, 1)
        """,
        prefix=command,
    )


def test_queues_and_bytes_are_those_of_the_namespace(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
from posix_ipc_swig import MessageQueue, O_CREX, limits, queue_bytes

mount(b"mqueue", b"/dev/mqueue")
found = limits()
assert (found.queues, found.bytes, found.user_bytes) == (0, 0, 0), found
first = MessageQueue("/one", O_CREX, max_messages=3, max_message_size=100)
second = MessageQueue("/two", O_CREX, mode=0o000, max_messages=1, max_message_size=8)
writer = MessageQueue("/three", O_CREX, mode=0o200, max_messages=2, max_message_size=8, read=False)
expected = queue_bytes(3, 100) + queue_bytes(1, 8) + queue_bytes(2, 8)
found = limits()
assert (found.queues, found.bytes, found.user_bytes) == (3, expected, expected), found
first.unlink()
assert limits().queues == 2
first.close()
writer.close()
assert limits().bytes == expected - queue_bytes(3, 100)
second.close()
"""
    )


def test_asking_leaves_this_processs_notification_request(run_in_mounted_namespace):
    """To close any descriptor of a queue ends the process's request: so limits() opens none of one that is open."""
    run_in_mounted_namespace(
        """
import signal
from posix_ipc_swig import MessageQueue, O_CREX, limits

mount(b"mqueue", b"/dev/mqueue")
came = []
signal.signal(signal.SIGUSR1, lambda number, frame: came.append(number))
queue = MessageQueue("/one", O_CREX, max_messages=1, max_message_size=8)
queue.request_notification(signal.SIGUSR1)
assert limits().queues == 1
queue.send("x")
assert came == [signal.SIGUSR1]
queue.close()
"""
    )


def test_a_queue_that_is_closed_to_this_process_has_bytes_that_nobody_knows(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
from posix_ipc_swig import MessageQueue, O_CREX, limits

mount(b"mqueue", b"/dev/mqueue")
MessageQueue("/one", O_CREX, mode=0, max_messages=1, max_message_size=8).close()
assert limits().bytes is not None  # root may open anything
header = (0x20080522).to_bytes(4, sys.byteorder) + bytes(4)
assert libc.capset(header, bytes(24)) == 0
found = limits()
assert (found.queues, found.bytes, found.user_bytes) == (1, None, None), found
"""
    )


def test_an_empty_folder_says_nothing_of_queues(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
from posix_ipc_swig import MessageQueue, O_CREX, limits

mount(b"tmpfs", b"/dev/mqueue")
MessageQueue("/one", O_CREX, max_messages=1, max_message_size=8).close()
found = limits()
assert (found.queues, found.bytes, found.user_bytes) == (None, None, None), found
mount(b"mqueue", b"/dev/mqueue")
assert limits().queues == 1
mount(b"tmpfs", b"/dev/mqueue")
assert limits().queues is None
"""
    )


def test_the_queues_of_another_namespace_are_not_this_ones(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
from posix_ipc_swig import MessageQueue, O_CREX, limits

mount(b"mqueue", b"/dev/mqueue")
MessageQueue("/one", O_CREX, max_messages=1, max_message_size=8).close()
assert limits().queues == 1
unshare(NEWIPC)
assert os.listdir("/dev/mqueue") == ["one"]
found = limits()
assert (found.queues, found.bytes, found.user_bytes) == (None, None, None), found
"""
    )


def test_queues_are_counted_when_no_other_can_be_made(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
import resource
from posix_ipc_swig import MessageQueue, O_CREX, limits, queue_bytes

mount(b"mqueue", b"/dev/mqueue")
MessageQueue("/one", O_CREX, max_messages=1, max_message_size=8).close()
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]))
found = limits()
assert (found.queues, found.user_bytes) == (1, queue_bytes(1, 8)), found
"""
    )


def test_without_proc_limits_tell_what_they_can(run_in_mounted_namespace):
    run_in_mounted_namespace(
        """
from posix_ipc_swig import fits, limits

mount(b"mqueue", b"/dev/mqueue")
before = limits()
mount(b"tmpfs", b"/proc")
found = limits()
for name in ("msg_max", "msgsize_max", "queues_max", "msg_default", "msgsize_default", "queues", "bytes", "user_bytes"):
    assert getattr(found, name) is None, found
assert (found.rlimit_msgqueue, found.hard_msg_max) == (before.rlimit_msgqueue, 65536)
assert not found.may_exceed_sysctls
assert fits(1, 8)
fit = fits(65536, 8)
assert not fit
assert "RLIMIT_MSGQUEUE" in fit.reason or "/proc does not tell" in fit.reason, fit
"""
    )


def test_what_goes_away_meanwhile_is_not_counted(run_in_mounted_namespace):
    """A queue between the list and the look; a descriptor of one's own between the look and the question."""
    run_in_mounted_namespace(
        """
from posix_ipc_swig import MessageQueue, O_CREX, _limits, limits

mount(b"mqueue", b"/dev/mqueue")
listdir = os.listdir
MessageQueue("/one", O_CREX, max_messages=1, max_message_size=8).close()
os.listdir = lambda path: [*listdir(path), *(["gone"] if path == "/dev/mqueue" else [])]
assert limits().queues == 1
assert _limits._bytes_of("/dev/mqueue/one", -1) is None
"""
    )


# --- queue_bytes() ----------------------------------------------------------------------------


def test_queue_bytes_is_the_sum_of_the_manual():
    assert queue_bytes(10, 8192) == 82880
    assert queue_bytes(1, 1) == 97
    assert queue_bytes(32768, 1) - queue_bytes(32767, 1) == 48 + 1 + 48
    assert queue_bytes(32769, 1) - queue_bytes(32768, 1) == 48 + 1


def test_count_says_how_many_more_fit():
    found = dataclasses.replace(
        limits(),
        msg_max=10,
        msgsize_max=8192,
        queues_max=256,
        rlimit_msgqueue=(819200, 819200),
        may_exceed_sysctls=False,
        queues=0,
        bytes=0,
        user_bytes=0,
    )
    assert found.count(10, 8192) == 9  # 9 * 82,880 = 745,920
    assert dataclasses.replace(found, user_bytes=82880).count(10, 8192) == 8
    assert dataclasses.replace(found, user_bytes=None, queues=None).count(10, 8192) == 9
    assert found.count(1, 1) == 256
    assert dataclasses.replace(found, queues=250).count(1, 1) == 6
    assert dataclasses.replace(found, queues=300).count(1, 1) == 0
    assert found.count(11, 8192) == found.count(10, 8193) == 0
    free = dataclasses.replace(found, may_exceed_sysctls=True, rlimit_msgqueue=(-1, -1))
    assert free.count(65536, 8192) is None
    assert free.count(65537, 8192) == 0
    blind = dataclasses.replace(found, msg_max=None, msgsize_max=None, queues_max=None, rlimit_msgqueue=(-1, -1))
    assert blind.count(65536, 8192) is None


# --- fits() -----------------------------------------------------------------------------------


def test_fits_is_true_and_leaves_nothing():
    before = limits()
    fit = fits(1, 8)
    assert fit
    assert type(fit) is posix_ipc_swig.Fit
    assert (fit.max_messages, fit.max_message_size, fit.bytes, fit.errno, fit.reason) == (
        1,
        8,
        queue_bytes(1, 8),
        0,
        "",
    )
    assert pickle.loads(pickle.dumps(fit)) == fit
    if before.queues is not None and not os.environ.get("PYTEST_XDIST_WORKER"):
        assert limits().queues == before.queues


def test_fits_takes_the_defaults_of_a_queue():
    fit = fits()
    assert fit.max_messages == min(sysctl("msg_default"), sysctl("msg_max"))
    assert fit.max_message_size == min(sysctl("msgsize_default"), sysctl("msgsize_max"))
    assert fits(max_message_size=8).max_messages == fit.max_messages
    assert fits(max_messages=1).max_message_size == fit.max_message_size


@pytest.mark.parametrize(("max_messages", "max_message_size"), [(65537, 1), (1, 2**24 + 1), (2**70, 1), (1, 2**70)])
def test_fits_says_the_sentence_of_the_error(name, max_messages, max_message_size):
    fit = fits(max_messages, max_message_size)
    assert not fit
    with pytest.raises(LimitError) as caught:
        MessageQueue(name, O_CREX, max_messages=max_messages, max_message_size=max_message_size)
    assert (fit.errno, fit.reason) == (caught.value.errno, caught.value.strerror)


@pytest.mark.skipif(has_capability(CAP_SYS_RESOURCE), reason="CAP_SYS_RESOURCE lifts the limits of fs.mqueue")
def test_the_sentence_names_the_limit_and_what_to_run():
    over = sysctl("msg_max") + 1
    assert fits(over, 1).reason == (
        f"max_messages={over} is over fs.mqueue.msg_max={over - 1}; raise it with: sysctl -w fs.mqueue.msg_max={over} "
        f"(docker run --sysctl fs.mqueue.msg_max={over})"
    )


@pytest.mark.parametrize("bad", [0, -1])
def test_fits_takes_what_a_queue_takes(bad):
    for arguments in ((bad, 1), (1, bad)):
        with pytest.raises(ValueError, match="1 or more"):
            fits(*arguments)
    with pytest.raises(TypeError):
        fits("1", 1)


def test_fits_sees_what_this_users_queues_count(run_python):
    """In this program everything is spent: what fits is what the kernel still gives."""
    run_python(
        """
        import resource
        from posix_ipc_swig import fits, queue_bytes

        assert fits(1, 64)
        hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (queue_bytes(1, 64) - 1, hard))
        fit = fits(1, 64)
        assert not fit
        assert "RLIMIT_MSGQUEUE" in fit.reason and str(queue_bytes(1, 64)) in fit.reason, fit
        """
    )


# --- predicted is found -----------------------------------------------------------------------


def predicted(found, max_messages, max_message_size):
    """Return whether the numbers alone let such a queue be made."""
    return found.count(max_messages, max_message_size) != 0


def others_hold_queues():
    """Return whether another process of this user has a queue open, in whichever namespace: its bytes count here.

    Or may have: one outside this user namespace cannot be looked at.
    """
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name == str(os.getpid()) or process.stat().st_uid != os.getuid():
                continue
            for number in os.listdir(process / "fd"):
                target = os.readlink(process / "fd" / number)
                # A queue's file is named by its place in its own file system.
                if target.rfind("/") == 0 and not os.path.exists(target):
                    return True
        except PermissionError:
            return True
        except OSError:  # it has gone
            continue
    return False


def agree(max_messages, max_message_size):
    """The numbers, fits() and the kernel say the same, and a refusal names its limit.

    Others of this user may make queues between any two of them: then again. They may also hold many all the time.
    """
    deadline, patience = time.monotonic() + LIMIT, time.monotonic() + 0.1
    while True:
        found = limits()
        fit = fits(max_messages, max_message_size)
        error = errno_of(f"/test-{os.getpid()}-{time.monotonic_ns()}", max_messages, max_message_size)
        assert fit or re.search(r"fs\.mqueue\.\w+=\d+|RLIMIT_MSGQUEUE=\d+|hard limit of fs\.mqueue", fit.reason), fit
        said = [predicted(found, max_messages, max_message_size), bool(fit), error == 0]
        if len(set(said)) == 1 and fit.errno == error:
            return said[0]
        spent = said == [True, False, False] and fit.errno == error == errno.EMFILE
        if spent and time.monotonic() > patience and others_hold_queues():
            return False
        assert time.monotonic() < deadline, (said, fit, error, found)


def around(found):
    """Sizes of queues: around each limit, and where messages times bytes comes to the byte limit."""
    soft = found.rlimit_msgqueue[0] if found.rlimit_msgqueue[0] != -1 else 2**30
    near = st.integers(-2, 2)
    messages = st.one_of(
        st.sampled_from([found.msg_max, found.msg_default, found.messages_allowed, found.hard_msg_max]).flatmap(
            lambda limit: near.map(lambda offset: limit + offset)
        ),
        st.integers(1, found.messages_allowed),
    ).map(lambda number: max(number, 1))
    sizes = st.one_of(
        st.sampled_from(
            [found.msgsize_max, found.msgsize_default, found.message_size_allowed, found.hard_msgsize_max]
        ).flatmap(lambda limit: near.map(lambda offset: limit + offset)),
        st.integers(1, found.message_size_allowed),
    ).map(lambda number: max(number, 1))
    edges = st.tuples(messages, near).map(
        lambda pair: (pair[0], max(1, (soft - min(pair[0], 32768) * 48) // pair[0] - 48 + pair[1]))
    )
    return st.one_of(st.tuples(messages, sizes), edges)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_numbers_fits_and_the_kernel_agree(data):
    agree(*data.draw(around(limits())))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"msg_max": 4096, "msgsize_max": 65536, "queues_max": 1024},
        {"msg_max": 3, "msgsize_max": 128, "queues_max": 2, "msg_default": 3, "msgsize_default": 128},
        {"msg_max": 65536, "msgsize_max": 16 * 2**20},
        {"queues_max": 0},
    ],
    ids=["the kernel's own", "raised", "small", "as high as can be", "no queues"],
)
def test_they_agree_whatever_the_sysctls_are(run_in_namespace, changed):
    run_in_namespace(
        f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from hypothesis import HealthCheck, given, settings, strategies as st
        from test_limits import agree, around
        from posix_ipc_swig import limits

        for name, value in {changed!r}.items():
            set_limit(name, value)

        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.data())
        def check(data):
            agree(*data.draw(around(limits())))

        check()
        """
    )
