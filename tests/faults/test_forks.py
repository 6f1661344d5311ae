"""Forks: a child uses, closes and drops what it inherited, and the parent notices nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
import weakref

import pytest
from helpers import LIMIT, drain, full_count, no_tracer_beside_forks, open_descriptors, wait_until

from posix_ipc_swig import BusyError, MessageQueue, PermissionsError

RIGHTS = """
import multiprocessing, sys
from posix_ipc_swig import MessageQueue, PermissionsError

def check(reader, writer):
    writer.send("from the child", 30)
    assert reader.receive(30) == (b"to the child", 3)
    for forbidden in (lambda: reader.send("x", 0), lambda: writer.receive(0)):
        try:
            forbidden()
        except PermissionsError:
            continue
        raise AssertionError("more rights than the handle had")
    reader.close()
    writer.close()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with MessageQueue(sys.argv[2], write=False) as reader, MessageQueue(sys.argv[3], read=False) as writer:
        child = context.Process(target=check, args=(reader, writer))
        child.start()
        child.join(60)
        sys.exit(child.exitcode)
"""


@pytest.fixture
def in_child():
    """Run a function in a forked child; it must return and not raise."""

    def run(function):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the matter of these tests
            child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(2 * LIMIT)
                function()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

    return run


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_child_can_close_a_handle_on_which_a_thread_of_the_parent_waits(
    queue, reopen, start_thread, in_child, timeout
):
    handle = reopen(queue)
    thread = start_thread(handle.receive, timeout)
    thread.wait_until_asleep()

    def close():
        number = str(handle.mqd)
        assert number in open_descriptors()
        handle.close()
        assert number not in open_descriptors()

    in_child(close)
    queue.send("for the parent")
    assert thread.result() == (b"for the parent", 0)


def test_a_child_can_close_a_handle_that_threads_are_in_the_midst_of_batches_with(
    queue, reopen, start_thread, in_child
):
    """Each batch looks for signal handlers, which only the main thread has; without a global lock, all at once."""
    handle = reopen(queue)
    over = threading.Event()

    def work():
        while not over.is_set():
            with contextlib.suppress(BusyError):
                handle.send_many(["a", "b"], 0)
                handle.receive_many(2, 0)

    threads = [start_thread(work) for _ in range(4)]

    def close():
        number = str(handle.mqd)
        handle.close()
        assert number not in open_descriptors()

    for _ in range(full_count(20, 2000)):
        in_child(close)
    over.set()
    for thread in threads:
        thread.result()
    in_child(close)


def test_a_child_does_not_inherit_what_only_a_waiting_thread_kept_open(queue, reopen, start_thread, in_child):
    handle = reopen(queue)
    number = str(handle.mqd)
    thread = start_thread(handle.receive, 60)
    thread.wait_until_asleep()
    handle.close()
    assert number in open_descriptors()

    def look():
        assert number not in open_descriptors()

    in_child(look)
    queue.send("for the parent")
    assert thread.result() == (b"for the parent", 0)


def test_a_child_can_use_a_handle_on_which_the_parents_threads_wait(queue, reopen, start_thread, in_child):
    """Large messages too, whose buffer a thread of the parent had taken."""
    handle = reopen(queue)
    threads = [start_thread(handle.receive, 60) for _ in range(2)]
    for thread in threads:
        thread.wait_until_asleep()
    in_child(lambda: handle.send("one"))
    in_child(lambda: handle.send("two"))
    assert sorted(thread.result() for thread in threads) == [(b"one", 0), (b"two", 0)]

    def echo():
        handle.send("echo", 0)
        assert handle.receive(0) == (b"echo", 0)
        assert handle.current_messages == 0

    in_child(echo)


def test_a_child_can_drop_what_it_inherited(queue, in_child):
    """The handles go, and by promise their descriptors do not; nor does the request made through one of them."""
    holder, came = [MessageQueue(queue.name) for _ in range(3)], []
    numbers = {str(handle.mqd) for handle in holder}
    holder[1].request_notification((came.append, "parent"))

    def drop():
        watched = [weakref.ref(handle) for handle in holder]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            holder.clear()
            gc.collect()
        assert [watch() for watch in watched] == [None] * 3
        assert numbers <= open_descriptors()

    in_child(drop)
    assert {str(handle.mqd) for handle in holder} == numbers
    queue.send("hello")
    wait_until(lambda: came == ["parent"])
    assert holder[0].receive(0) == (b"hello", 0)
    for handle in holder:
        handle.close()


def test_the_parents_request_stands_whatever_a_child_does(queue, reopen, in_child):
    came, handle = [], reopen(queue)
    queue.request_notification((came.append, "parent"))

    def disturb():
        with pytest.raises(BusyError):
            handle.request_notification((came.append, "child"))
        handle.request_notification()
        handle.close()
        queue.close()

    for _ in range(full_count(20, 500)):
        in_child(disturb)
    queue.send("hello")
    wait_until(lambda: came)
    assert came == ["parent"]


def test_the_parents_request_for_a_signal_stands_whatever_a_child_does(queue, reopen, in_child, handle_signal):
    came, handle = [], reopen(queue)
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    queue.request_notification(signal.SIGUSR1)

    def disturb():
        with pytest.raises(BusyError):
            handle.request_notification(signal.SIGUSR1)
        handle.request_notification()
        handle.close()
        queue.close()

    for _ in range(full_count(5, 500)):
        in_child(disturb)
    assert not came
    in_child(lambda: queue.send("hello"))
    wait_until(lambda: came == [signal.SIGUSR1])


def test_the_request_of_a_handle_that_was_dropped_stands_whatever_a_child_does(queue, in_child):
    came, handle = [], MessageQueue(queue.name)
    handle.request_notification((came.append, "parent"))
    number = handle.mqd
    with pytest.warns(ResourceWarning):
        del handle
        gc.collect()

    def disturb():
        with pytest.raises(BusyError):
            queue.request_notification((came.append, "child"))
        os.close(number)
        queue.close()

    for _ in range(full_count(5, 500)):
        in_child(disturb)
    queue.send("hello")
    wait_until(lambda: came == ["parent"])
    os.close(number)


@pytest.mark.parametrize("freed", ["answered", "cancelled"])
def test_a_child_can_request_on_the_parents_queue_once_it_is_free(queue, in_child, freed):
    came = []
    queue.request_notification((came.append, "parent"))
    if freed == "answered":
        queue.send("hello")
        wait_until(lambda: came == ["parent"])
        drain(queue)
    else:
        queue.request_notification()

    def own():
        called = threading.Event()
        queue.request_notification((lambda param: called.set(), None))
        queue.send("hello")
        assert called.wait(LIMIT)
        drain(queue)
        queue.request_notification((print, "it ends with the child"))

    in_child(own)
    queue.request_notification((came.append, "again"))
    queue.send("hello")
    wait_until(lambda: came[-1:] == ["again"])


def test_a_child_can_request_its_own(queue, make_queue, in_child):
    other, came = make_queue(), []
    queue.request_notification((came.append, "parent"))

    def own():
        called = threading.Event()
        for _ in range(3):
            called.clear()
            other.request_notification((lambda param: called.set(), None))
            other.send("hello")
            assert called.wait(LIMIT)
            drain(other)

    in_child(own)
    queue.send("hello")
    wait_until(lambda: came == ["parent"])


@no_tracer_beside_forks
def test_a_child_of_a_process_whose_threads_request_all_the_time_can_request(queue, make_queue, in_child):
    """Whatever lock a thread of the parent holds at the fork, the child's requests do not wait for it."""
    other, over = make_queue(), threading.Event()

    def ask():
        while not over.is_set():
            queue.request_notification((print, "unused"))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()

    def own():
        called = threading.Event()
        other.request_notification((lambda param: called.set(), None))
        other.send("hello")
        assert called.wait(LIMIT)
        drain(other)

    try:
        for _ in range(full_count(30, 500)):
            in_child(own)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    queue.request_notification()


def test_a_callback_may_fork_and_its_child_may_request(queue, make_queue, in_child):
    other, ended = make_queue(), []

    def own():
        called = threading.Event()
        other.request_notification((lambda param: called.set(), None))
        other.send("hello")
        assert called.wait(LIMIT)

    def callback(param):
        in_child(own)
        ended.append(param)

    queue.request_notification((callback, "forked"))
    queue.send("hello")
    wait_until(lambda: ended == ["forked"])


def test_a_handler_that_forks_while_a_call_waits(run_python, queue):
    """The child comes back into the wait, with the handle as it was; so does the parent."""
    run_python(
        """
        import os, signal, sys, warnings
        from posix_ipc_swig import ExistentialError, MessageQueue

        warnings.simplefilter("ignore")
        children = []
        with MessageQueue(sys.argv[1]) as queue:
            signal.signal(signal.SIGALRM, lambda number, frame: children.append(os.fork()))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            number = queue.mqd
            try:
                queue.receive(1)
            except TimeoutError:
                pass
            assert len(children) == 1, children
            assert not queue.closed and queue.current_messages == 0
            queue.close()
            assert not os.path.exists(f"/proc/self/fd/{number}")
        if children[0] == 0:
            os._exit(0)
        assert os.waitpid(children[0], 0)[1] == 0
        """,
        queue.name,
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_hands_over_handles_with_their_rights(start_python, queue, make_queue, method):
    back = make_queue()
    program = start_python(RIGHTS, method, queue.name, back.name)
    queue.send("to the child", priority=3)
    assert back.receive(60) == (b"from the child", 0)
    _, complaints = program.communicate(timeout=LIMIT)
    assert (program.returncode, complaints) == (0, "")


@pytest.mark.parametrize("rights", [{"read": False}, {"write": False}], ids=["writer", "reader"])
def test_pickled_handles_reopen_with_the_same_rights(queue, reopen, rights):
    data = pickle.dumps(reopen(queue, **rights))
    for _ in range(full_count(200, 20_000)):
        with pickle.loads(data) as other, pytest.raises(PermissionsError):
            other.receive(0) if "read" in rights else other.send("x", 0)
