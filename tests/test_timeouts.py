"""Timeouts: durations, measured on the monotonic clock."""

from __future__ import annotations

import decimal
import errno
import fractions
import math
import re
import shutil
import subprocess
import time

import pytest
from helpers import LIMIT, drain, fill, type_name

from posix_ipc_swig import BusyError

# What stands for "wait as long as it takes", as no clock reaches its end.
ENDLESS = [None, math.inf, 1e300, 1e19, 2.0**63, 1e10, 10**9, 2**31, 2**63, 2**64 + 1, 10**400]


@pytest.fixture(params=["receive", "send"])
def wait(request, queue):
    """Two functions: one that must wait, and one that ends its wait."""
    if request.param == "receive":
        return queue.receive, lambda: queue.send("hello")
    fill(queue)
    return (lambda timeout=None: queue.send("hello", timeout)), lambda: queue.receive(0)


def test_a_timeout_of_0_raises_at_once_on_an_empty_queue(queue):
    for zero in (0, 0.0, -0.0, False):
        with pytest.raises(BusyError):
            queue.receive(zero)


def test_a_timeout_of_0_raises_at_once_on_a_full_queue(queue):
    messages = fill(queue)
    for zero in (0, 0.0, -0.0, False):
        with pytest.raises(BusyError):
            queue.send("one more", zero)
    assert [message for message, _ in drain(queue)] == messages


@pytest.mark.parametrize(
    "seconds",
    [5e-324, 1e-9, 0.01, 0.1, 1, 1.01, fractions.Fraction(1, 20), decimal.Decimal("0.05")],
    ids=str,
)
def test_a_wait_ends_after_its_timeout_and_not_before(wait, seconds):
    call, _ = wait
    start = time.monotonic()
    with pytest.raises(BusyError):
        call(timeout=seconds)
    assert time.monotonic() - start >= seconds


def test_a_timed_out_send_sends_nothing(queue):
    messages = fill(queue)
    with pytest.raises(BusyError):
        queue.send("one more", timeout=0.01)
    assert [message for message, _ in drain(queue)] == messages


def test_a_timeout_says_so_in_its_errno(wait):
    call, _ = wait
    for timeout in (0, 0.01):
        with pytest.raises(BusyError) as caught:
            call(timeout=timeout)
        assert caught.value.errno in (errno.ETIMEDOUT, errno.EAGAIN)


@pytest.mark.parametrize("timeout", [*ENDLESS, 60, 60.5, decimal.Decimal(60)], ids=str)
def test_a_wait_ends_when_it_may_go_on(wait, start_thread, timeout):
    call, end = wait
    thread = start_thread(call, timeout)
    thread.wait_until_asleep()
    start = time.monotonic()
    end()
    assert thread.result() in [(b"hello", 0), None]
    # In its own time, not at the end of the timeout.
    assert time.monotonic() - start < LIMIT


def test_no_timeout_waits_as_long_as_it_takes(wait, start_thread):
    call, end = wait
    thread = start_thread(call)
    thread.wait_until_asleep()
    end()
    thread.result()


@pytest.mark.parametrize("timeout", [None, 0, 1e-9, 60, math.inf])
def test_nothing_waits_that_can_be_done_at_once(queue, timeout):
    for _ in range(3):
        queue.send("hello", timeout)
    start = time.monotonic()
    for _ in range(3):
        assert queue.receive(timeout) == (b"hello", 0)
    assert time.monotonic() - start < LIMIT


def test_who_is_late_for_a_message_waits_for_the_next(queue, start_thread):
    threads = [start_thread(queue.receive, 60) for _ in range(2)]
    for thread in threads:
        thread.wait_until_asleep()
    queue.send("first")
    queue.send("second")
    assert sorted(thread.result() for thread in threads) == [(b"first", 0), (b"second", 0)]


def test_a_message_that_another_takes_does_not_end_a_wait(queue, reopen, start_thread):
    other = reopen(queue)
    thread = start_thread(queue.receive, 60)
    thread.wait_until_asleep()
    taken = 0
    for _ in range(200):
        queue.send("decoy")
        try:
            other.receive(0)
            taken += 1
        except BusyError:  # the thread was faster
            assert thread.result() == (b"decoy", 0)
            thread = start_thread(queue.receive, 60)
    thread.wait_until_asleep()
    queue.send("for the thread")
    assert thread.result() == (b"for the thread", 0)


@pytest.mark.parametrize(
    "timeout", [-1, -1e-9, -0.001, -1e300, -math.inf, math.nan, -(2**63), -(2**64), -(10**400)], ids=str
)
def test_a_timeout_that_makes_no_sense_is_a_value_error(queue, timeout):
    queue.send("hello")
    with pytest.raises(ValueError, match="timeout"):
        queue.receive(timeout)
    with pytest.raises(ValueError, match="timeout"):
        queue.send("more", timeout)
    assert drain(queue) == [(b"hello", 0)]


@pytest.mark.parametrize("timeout", ["1", b"1", 1j, [1], object()], ids=type_name)
def test_a_timeout_of_a_wrong_type_is_a_type_error(queue, timeout):
    queue.send("hello")
    with pytest.raises(TypeError, match="timeout"):
        queue.receive(timeout)
    with pytest.raises(TypeError, match="timeout"):
        queue.send("more", timeout)
    assert drain(queue) == [(b"hello", 0)]


def test_an_error_of_the_timeout_propagates_as_itself(queue):
    class Broken:
        def __float__(self):
            raise LookupError("no idea")

    queue.send("hello")
    for call in (queue.receive, lambda timeout: queue.send("more", timeout)):
        with pytest.raises(LookupError, match="no idea"):
            call(Broken())
    assert drain(queue) == [(b"hello", 0)]


@pytest.fixture
def strace(tmp_path):
    """The command that writes another's system calls to calls.txt."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(["strace", "-o", str(tmp_path / "probe"), "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")
    return ["strace", "-o", str(tmp_path / "calls.txt")]


def test_a_timed_wait_hands_the_kernel_no_wall_clock_deadline(run_python, name, strace, tmp_path):
    """A deadline on the wall clock would move when the clock is set; one long past moves no one."""
    run_python(
        """
        import sys
        from posix_ipc_swig import *

        with MessageQueue(sys.argv[1], O_CREX, max_messages=1, max_message_size=8) as queue:
            try:
                queue.receive(timeout=0.2)
            except BusyError:
                queue.send("hello", timeout=3600)
            try:
                queue.send("hello", timeout=0.2)
            except BusyError:
                queue.receive(timeout=3600)
        """,
        name,
        prefix=strace,
    )
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    for name in ("mq_timedreceive", "mq_timedsend"):
        timed = [call for call in calls if call.startswith(name)]
        assert len(timed) >= 2, calls[-20:]
        for call in timed:
            assert re.search(r", (NULL|\{tv_sec=0, tv_nsec=0\})\) += ", call)
    waits = [call for call in calls if re.match(r"ppoll\w*\(.*\{tv_sec=0, tv_nsec=1\d{8}\}.*= 0 \(Timeout\)", call)]
    assert len(waits) >= 2, "it waited some other way"
