"""Notification: a signal or a callback when a queue stops being empty, once for each request."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref

import pytest
from helpers import callback_threads, drain, open_descriptors, wait_until

from posix_ipc_swig import USER_SIGNAL_MAX, USER_SIGNAL_MIN, BusyError, MessageQueue

REFUSED_SIGNALS = sorted(set(range(1, 65)) - set(signal.valid_signals()))


class Calls(list):
    """A callback that notes what it was called with, and in which thread."""

    def __call__(self, param):
        self.append((param, threading.current_thread()))

    @property
    def params(self):
        return [param for param, _ in list(self)]


@pytest.fixture
def calls():
    return Calls()


def provoke(queue):
    """Make the queue go from empty to not empty."""
    drain(queue)
    queue.send("hello")


def settle(queue, calls):
    """Let all that was notified before arrive: threads begin in the notifications' order, and end in any."""
    last = Calls()
    queue.request_notification((last, None))
    provoke(queue)
    wait_until(lambda: last)
    wait_until(lambda: not callback_threads())
    drain(queue)


def test_a_callback_is_called_with_its_param(queue, calls):
    param = object()
    assert queue.request_notification((calls, param)) is None
    queue.send("hello")
    wait_until(lambda: calls)
    settle(queue, calls)
    assert calls.params == [param]


def test_a_notification_takes_no_message(queue, calls):
    queue.request_notification((calls, None))
    queue.send("hello")
    wait_until(lambda: calls)
    assert queue.receive(0) == (b"hello", 0)


@pytest.mark.parametrize("param", [None, (), (1, 2), "text", {}])
def test_a_param_is_anything(queue, calls, param):
    queue.request_notification((calls, param))
    queue.send("hello")
    wait_until(lambda: calls)
    assert calls.params == [param]


def test_a_callback_is_any_callable(queue):
    came = []

    class Object:
        def method(self, param):
            came.append(param)

    for function in (came.append, Object().method, lambda param: came.append(param)):
        queue.request_notification((function, "x"))
        provoke(queue)
        wait_until(lambda: came)
        assert came.pop() == "x"


def test_each_callback_runs_in_a_new_daemon_thread(queue, calls):
    for number in range(3):
        queue.request_notification((calls, number))
        provoke(queue)
        wait_until(lambda: len(calls) == number + 1)  # noqa: B023 # it is called before the next turn
    threads = [thread for _, thread in calls]
    assert len(set(threads)) == 3
    assert threading.main_thread() not in threads
    for thread in threads:
        assert type(thread) is threading.Thread
        assert thread.daemon
        wait_until(lambda: not thread.is_alive())  # noqa: B023 # it is called before the next turn


def test_callbacks_may_run_at_the_same_time(queue):
    together = threading.Barrier(2)
    met = Calls()

    def meet(param):
        together.wait(30)
        met(param)

    for number in range(2):
        queue.request_notification((meet, number))
        provoke(queue)
    wait_until(lambda: len(met) == 2)


def test_a_request_is_for_one_notification(queue, calls):
    queue.request_notification((calls, "once"))
    for _ in range(3):
        provoke(queue)
    settle(queue, calls)
    assert calls.params == ["once"]


def test_a_queue_that_was_not_empty_notifies_nobody(queue, calls):
    queue.send("before")
    queue.request_notification((calls, "first"))
    queue.send("after")
    drain(queue)
    settle(queue, calls)  # takes the request's place
    assert calls == []


def test_a_request_on_a_filled_queue_waits_for_the_next_time(queue, calls):
    queue.send("before")
    queue.request_notification((calls, "first"))
    queue.send("after")
    drain(queue)
    assert calls == []
    queue.send("now")
    wait_until(lambda: calls)
    assert calls.params == ["first"]


def test_who_waits_gets_the_message_and_nobody_is_notified(queue, reopen, start_thread, calls):
    queue.request_notification((calls, None))
    thread = start_thread(reopen(queue).receive)
    thread.wait_until_asleep()
    queue.send("for the thread")
    assert thread.result() == (b"for the thread", 0)
    queue.send("for the queue")
    wait_until(lambda: calls)
    settle(queue, calls)
    assert len(calls) == 1


def test_a_callback_may_ask_again(make_queue):
    queue = make_queue(max_messages=10)
    total = 200
    came = []

    def take(param):
        queue.request_notification((take, param))
        # Asked first, then emptied: so no message falls between.
        while True:
            try:
                came.append(queue.receive(0)[0])
            except BusyError:
                return

    queue.request_notification((take, None))
    for number in range(total):
        queue.send(str(number))
    wait_until(lambda: len(came) == total)
    assert sorted(came, key=int) == [str(number).encode() for number in range(total)]
    wait_until(lambda: not callback_threads())
    queue.request_notification()


def test_a_cancelled_request_is_over(queue, calls):
    queue.request_notification((calls, None))
    assert queue.request_notification(None) is None
    provoke(queue)
    settle(queue, calls)
    assert calls == []


def test_none_is_the_default_and_cancels(queue, calls):
    queue.request_notification((calls, None))
    queue.request_notification()
    provoke(queue)
    settle(queue, calls)
    assert calls == []


def test_without_a_request_there_is_nothing_to_cancel(queue):
    queue.request_notification(None)
    queue.request_notification()


def test_another_handle_may_cancel(queue, reopen, calls):
    queue.request_notification((calls, None))
    reopen(queue).request_notification(None)
    provoke(queue)
    settle(queue, calls)
    assert calls == []


@pytest.mark.parametrize("same", [True, False], ids=["same handle", "other handle"])
def test_a_second_request_takes_the_place_of_the_first(queue, reopen, calls, same):
    second = queue if same else reopen(queue)
    queue.request_notification((calls, "first"))
    second.request_notification((calls, "second"))
    provoke(queue)
    wait_until(lambda: calls)
    settle(queue, calls)
    assert calls.params == ["second"]


def test_each_queue_has_a_request_of_its_own(queue, make_queue, calls):
    other = make_queue()
    queue.request_notification((calls, "one"))
    other.request_notification((calls, "other"))
    provoke(other)
    wait_until(lambda: calls)
    assert calls.params == ["other"]
    provoke(queue)
    wait_until(lambda: len(calls) == 2)
    assert calls.params == ["other", "one"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, USER_SIGNAL_MIN, USER_SIGNAL_MAX])
def test_a_signal_is_sent_to_this_process(queue, handle_signal, number):
    came = []
    handle_signal(number, lambda number, frame: came.append(number))
    queue.request_notification(number)
    queue.send("hello")
    wait_until(lambda: came)
    provoke(queue)  # not asked for
    queue.request_notification(number)
    provoke(queue)
    wait_until(lambda: len(came) == 2)
    assert came == [number, number]


def test_a_signal_request_can_be_cancelled_and_replaced(queue, handle_signal, calls):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    queue.request_notification(signal.SIGUSR1)
    queue.request_notification()
    provoke(queue)
    queue.request_notification(signal.SIGUSR1)
    queue.request_notification((calls, None))
    provoke(queue)
    wait_until(lambda: calls)
    assert came == []
    queue.request_notification((calls, None))
    queue.request_notification(signal.SIGUSR1)
    provoke(queue)
    wait_until(lambda: came)
    settle(queue, calls)
    assert (came, len(calls)) == ([signal.SIGUSR1], 1)


@pytest.mark.parametrize(
    "bad",
    [
        "text",
        b"x",
        1.5,
        (),
        (print,),
        (print, 1, 2),
        [print, 1],
        (1, 2),
        ("print", 1),
        (None, 1),
        print,
        {},
        -1,
        0,
        65,
        2**31,
        2**32 + 10,
        10**30,
        *REFUSED_SIGNALS,
    ],
    ids=lambda value: repr(value).replace("<built-in function print>", "print"),
)
def test_what_is_no_notification_is_a_value_error_and_changes_nothing(queue, calls, bad):
    queue.request_notification((calls, "as before"))
    with pytest.raises(ValueError):
        queue.request_notification(bad)
    queue.send("hello")
    wait_until(lambda: calls)
    assert calls.params == ["as before"]


def test_a_request_of_another_process_stands(queue, start_python, finish):
    """BusyError while another process has the request; its callback is called; then the queue is free."""
    holder = start_python(
        """
        import sys, threading
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            called = threading.Event()
            queue.request_notification((lambda param: called.set(), None))
            print("ready", flush=True)
            assert called.wait(60)
            queue.request_notification((print, "unused"))
            print("called", flush=True)
            sys.stdin.readline()
        """,
        queue.name,
    )
    assert holder.stdout.readline() == "ready\n"
    calls = Calls()
    for notification in ((calls, None), signal.SIGUSR1):
        with pytest.raises(BusyError) as caught:
            queue.request_notification(notification)
        assert caught.value.filename == queue.name
    queue.request_notification(None)  # cancels only what is our own
    queue.send("hello")
    assert holder.stdout.readline() == "called\n"
    with pytest.raises(BusyError):
        queue.request_notification((calls, None))
    finish(holder)
    queue.request_notification((calls, None))
    provoke(queue)
    wait_until(lambda: calls)


def test_a_killed_process_leaves_no_request(queue, start_python, calls):
    holder = start_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue

        queue = MessageQueue(sys.argv[1])
        queue.request_notification((print, "unused"))
        print("ready", flush=True)
        sys.stdin.readline()
        """,
        queue.name,
    )
    assert holder.stdout.readline() == "ready\n"
    holder.kill()
    holder.wait()
    queue.request_notification((calls, None))
    queue.send("hello")
    wait_until(lambda: calls)


def test_an_exception_in_a_callback_goes_to_the_excepthook_of_threads(queue, monkeypatch, calls):
    came = []
    monkeypatch.setattr(threading, "excepthook", came.append)

    def fail(param):
        raise LookupError(param)

    queue.request_notification((fail, "reason"))
    queue.send("hello")
    wait_until(lambda: came)
    assert came[0].exc_type is LookupError
    assert str(came[0].exc_value) == "reason"
    assert isinstance(came[0].thread, threading.Thread)
    came.clear()
    queue.request_notification((calls, "still works"))
    provoke(queue)
    wait_until(lambda: calls)


def test_a_closed_handle_ends_the_request(queue, reopen, calls):
    handle = reopen(queue)
    handle.request_notification((calls, None))
    handle.close()
    provoke(queue)
    settle(queue, calls)
    assert calls == []


def test_a_callback_may_close_its_handle(queue, reopen):
    handle = reopen(queue)

    handle.request_notification((lambda param: handle.close(), None))
    queue.send("hello")
    wait_until(lambda: handle.closed)
    assert queue.receive(0) == (b"hello", 0)


def test_a_handle_dropped_with_a_request_still_notifies(queue, calls):
    handle = MessageQueue(queue.name)
    number = handle.mqd
    handle.request_notification((calls, "alive"))
    with pytest.warns(ResourceWarning):
        del handle
        gc.collect()
    queue.send("hello")
    wait_until(lambda: calls)
    assert calls.params == ["alive"]
    os.close(number)


@pytest.mark.parametrize("end", ["call", "cancel", "replace", "close"])
def test_a_request_that_is_over_keeps_nothing_alive(queue, reopen, calls, end):
    class Param:
        pass

    handle = reopen(queue)
    param = Param()
    gone = weakref.ref(param)
    handle.request_notification((lambda param: None, param))
    del param
    assert gone() is not None
    if end == "call":
        provoke(queue)
    elif end == "cancel":
        handle.request_notification()
    elif end == "replace":
        handle.request_notification((calls, None))
    else:
        handle.close()
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_a_request_keeps_no_handle_alive(queue):
    handle = MessageQueue(queue.name)
    number = handle.mqd
    gone = weakref.ref(handle)
    handle.request_notification((print, None))
    with pytest.warns(ResourceWarning):
        del handle
        gc.collect()
    assert gone() is None
    queue.request_notification()
    os.close(number)


def test_a_request_that_is_refused_keeps_nothing_alive(queue, start_holder):
    class Param:
        pass

    start_holder(queue)
    param = Param()
    gone = weakref.ref(param)
    with pytest.raises(BusyError):
        queue.request_notification((print, param))
    del param
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_many_requests_leave_no_threads_and_no_descriptors(queue, calls):
    settle(queue, calls)
    descriptors, threads = len(open_descriptors()), threading.active_count()
    for number in range(100):
        queue.request_notification((calls, number))
        if number % 2:
            queue.request_notification()
        else:
            provoke(queue)
    settle(queue, calls)
    wait_until(lambda: len(calls) == 50)
    wait_until(lambda: threading.active_count() <= threads + 1)
    assert len(open_descriptors()) <= descriptors + 1


def test_a_request_pending_at_a_fork_stays_the_parents(run_python, name):
    run_python(
        """
        import os, sys, threading, warnings
        from posix_ipc_swig import BusyError, MessageQueue, O_CREX, unlink_message_queue

        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the matter of this test

        def called_in(queue):
            came, event = [], threading.Event()
            queue.request_notification((lambda param: (came.append(os.getpid()), event.set()), None))
            return came, event

        with MessageQueue(sys.argv[1], O_CREX, max_messages=2, max_message_size=8) as queue:
            came, event = called_in(queue)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    try:
                        queue.request_notification((print, "refused"))
                    except BusyError:
                        status = 2
                    # The child can have requests of its own, and close what it inherited.
                    with MessageQueue(None, O_CREX, max_messages=1, max_message_size=8) as own:
                        own.unlink()
                        own_came, own_event = called_in(own)
                        own.send("hello")
                        assert own_event.wait(30) and own_came == [os.getpid()]
                    queue.close()
                    assert not came
                    status = 0 if status == 2 else 3
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert not came
            queue.send("hello")
            assert event.wait(30) and came == [os.getpid()]

            child = os.fork()  # and after that, another request in the parent
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            queue.receive()
            came, event = called_in(queue)
            queue.send("hello")
            assert event.wait(30)
        unlink_message_queue(sys.argv[1])
        """,
        name,
    )


@pytest.mark.parametrize("notification", ["(print, 'never')", "signal.SIGUSR1"], ids=["callback", "signal"])
def test_a_program_may_end_with_a_request_pending(run_python, queue, calls, notification):
    output = run_python(
        f"""
        import signal, sys, warnings
        from posix_ipc_swig import MessageQueue

        warnings.simplefilter("ignore", ResourceWarning)
        queue = MessageQueue(sys.argv[1])
        queue.request_notification({notification})
        print("end")
        """,
        queue.name,
    )
    assert output == "end\n"
    queue.request_notification((calls, None))
    queue.send("hello")
    wait_until(lambda: calls)


def test_a_program_may_end_while_callbacks_come(run_python, queue):
    for _ in range(3):
        run_python(
            """
            import sys, warnings
            from posix_ipc_swig import MessageQueue

            warnings.simplefilter("ignore", ResourceWarning)
            queue = MessageQueue(sys.argv[1])
            ask = lambda param: queue.request_notification((ask, None))
            ask(None)
            for _ in range(100):
                queue.send("hello")
                queue.receive()
            queue.send("hello")
            """,
            queue.name,
        )
        drain(queue)
