"""Listening: every message once, in order, whatever the handler and the others do; and it ends when told to."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings

import pytest
from helpers import LIMIT, amid_the_import_of_threads, fill, full_count, open_descriptors, wait_until

from posix_ipc_swig import ExistentialError, MessageQueue, PermissionsError, listening


def listeners():
    return [thread for thread in threading.enumerate() if thread.name.startswith("posix_ipc_swig listen ")]


@pytest.fixture
def came():
    """What a handler was called with: came.append is no handler, came.add is."""

    class Came(list):
        def add(self, message, priority):
            self.append((message, priority))

    return Came()


def test_the_handler_gets_every_message_that_is_there_and_that_comes(queue, came):
    before = fill(queue)
    with queue.listen(came.add) as listener:
        assert type(listener) is listening.Listening
        wait_until(lambda: len(came) == len(before))
        queue.send("last", priority=7)
        wait_until(lambda: len(came) == len(before) + 1)
        assert not listener.stopped
    assert listener.stopped
    assert came == [*((message, 0) for message in before), (b"last", 7)]


def test_no_message_of_another_process_is_missed(queue, came, start_python, finish):
    """Bursts and pauses, so that the queue becomes empty and not empty again all the time."""
    total = full_count(5000, 50_000)
    with queue.listen(came.add):
        sender = start_python(
            """
            import random, sys, time
            from posix_ipc_swig import MessageQueue

            rng = random.Random(5)
            with MessageQueue(sys.argv[1]) as queue:
                for number in range(int(sys.argv[2])):
                    queue.send(str(number), 60)
                    if rng.random() < 0.1:
                        time.sleep(rng.random() * 0.0005)
            """,
            queue.name,
            total,
        )
        finish(sender)
        wait_until(lambda: len(came) >= total)
    assert [int(message) for message, _ in came] == list(range(total))


def test_listeners_share_the_messages(queue, reopen):
    total, came = full_count(2000, 20_000), [[] for _ in range(4)]
    handles = [queue, queue, reopen(queue), reopen(queue)]
    stops = [handle.listen(lambda message, _, mine=mine: mine.append(message)) for handle, mine in zip(handles, came)]
    for number in range(total):
        queue.send(str(number))
    wait_until(lambda: sum(map(len, came)) >= total)
    assert all(listener.stop() for listener in stops)
    assert sorted(int(message) for mine in came for message in mine) == list(range(total))


@pytest.mark.parametrize("error", [LookupError("reason"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_what_the_handler_raises_goes_to_the_excepthook_and_ends_nothing(queue, came, monkeypatch, error):
    hooked = []
    monkeypatch.setattr(threading, "excepthook", hooked.append)

    def handler(message, priority):
        if message == b"bad":
            raise error
        came.add(message, priority)

    with queue.listen(handler):
        for text in ("bad", "good", "bad", "better"):
            queue.send(text)
        wait_until(lambda: len(came) == 2)
    assert came == [(b"good", 0), (b"better", 0)]
    assert [args.exc_value for args in hooked] == [error, error]
    assert hooked[0].thread.name.startswith("posix_ipc_swig listen ")


def test_stop_ends_it_and_leaves_the_rest_in_the_queue(queue, came):
    listener = queue.listen(came.add)
    queue.send("one")
    wait_until(lambda: came)
    assert listener.stop()
    assert listener.stopped
    assert listener.stop()
    queue.send("two")
    assert queue.receive(0) == (b"two", 0)
    assert came == [(b"one", 0)]


def test_stop_takes_any_number_of_seconds_and_nothing_else(queue, came):
    listener = queue.listen(came.add)
    for bad, error in ((float("nan"), ValueError), ("1", TypeError), (b"", TypeError)):
        with pytest.raises(error):
            listener.stop(bad)
    assert not listener.stopped
    assert listener.stop(10**400)
    for timeout in (-1, 0, 0.5, float("inf"), -float("inf"), 1e300):
        assert listener.stop(timeout)


def test_a_message_that_was_taken_is_handled_before_stop_returns(queue):
    begun, go, handled = threading.Event(), threading.Event(), []

    def handler(message, priority):
        begun.set()
        assert go.wait(LIMIT)
        handled.append(message)

    listener = queue.listen(handler)
    queue.send("one")
    queue.send("two")
    assert begun.wait(LIMIT)
    assert listener.stop(timeout=0.01) is False
    assert not listener.stopped
    go.set()
    assert listener.stop() is True
    assert handled == [b"one"]
    assert queue.receive(0) == (b"two", 0)


def test_the_handler_may_stop_it(queue):
    handled, listener = [], None

    def handler(message, priority):
        handled.append(message)
        assert listener.stop() is False

    listener = queue.listen(handler)
    fill(queue)
    wait_until(lambda: listener.stopped)
    assert len(handled) == 1
    assert queue.current_messages == 3


@pytest.mark.parametrize("where", ["outside", "handler"])
def test_closing_the_handle_ends_it(queue, reopen, where):
    handle = reopen(queue)
    number = handle.mqd
    listener = handle.listen(lambda message, priority: handle.close())
    if where == "outside":
        handle.close()
    else:
        queue.send("close")
    wait_until(lambda: listener.stopped)
    assert str(number) not in open_descriptors()
    queue.send("mine")
    assert queue.current_messages >= 1


def test_closing_ends_every_listener_of_a_handle_at_once(queue, reopen, came):
    for _ in range(full_count(100, 2000)):
        handle = reopen(queue)
        stops = [handle.listen(came.add) for _ in range(3)]
        handle.close()
        wait_until(lambda: all(listener.stopped for listener in stops))  # noqa: B023 # called before the next turn
    assert came == []


def test_a_descriptor_closed_behind_the_handles_back_ends_it_with_an_error(queue, monkeypatch, came):
    hooked = []
    monkeypatch.setattr(threading, "excepthook", hooked.append)
    lower = os.open("/dev/null", os.O_RDONLY)
    handle = MessageQueue(queue.name)
    os.close(handle.mqd)
    os.close(lower)  # so that the listener's own descriptor does not get the handle's number
    listener = handle.listen(came.add)
    wait_until(lambda: listener.stopped)
    assert [args.exc_type for args in hooked] == [ExistentialError]
    handle.close()


def test_it_goes_on_when_the_objects_are_dropped(queue, came):
    handle = MessageQueue(queue.name)
    handle.listen(came.add)
    close = handle.close
    del handle
    gc.collect()
    queue.send("hello")
    wait_until(lambda: came)
    close()
    wait_until(lambda: not listeners())


def test_it_needs_no_notification_request(queue, came, start_python):
    holder = start_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            queue.request_notification((print, "unused"))
            print("ready", flush=True)
            sys.stdin.readline()
        """,
        queue.name,
    )
    assert holder.stdout.readline() == "ready\n"
    with queue.listen(came.add):
        queue.send("hello")
        wait_until(lambda: came)


def test_what_cannot_be_listened_to_is_refused_and_leaves_nothing(queue, reopen, came, monkeypatch):
    writer, closed = reopen(queue, read=False), reopen(queue)
    closed.close()
    before = open_descriptors()
    with pytest.raises(PermissionsError):
        writer.listen(came.add)
    with pytest.raises(ExistentialError):
        closed.listen(came.add)
    for bad in (None, 5, "text"):
        with pytest.raises(TypeError):
            queue.listen(bad)

    class Thread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "Thread", Thread)
    with pytest.raises(RuntimeError):
        queue.listen(came.add)
    assert open_descriptors() == before
    assert not listening._running


def test_starting_and_stopping_leaves_nothing(queue, came):
    before = open_descriptors()
    for number in range(full_count(300, 20_000)):
        with queue.listen(came.add):
            if number % 2:
                queue.send("hello")
    assert open_descriptors() == before
    wait_until(lambda: not listeners())  # stop() waits for the last call of the handler only
    assert not listening._running
    assert len(came) + queue.current_messages == full_count(150, 10_000)


def test_a_signal_handler_may_stop_it_in_the_midst_of_stop(run_python, queue):
    """In a process of its own: it would wait for a lock that it holds itself."""
    run_python(
        """
        import signal, sys, time
        from posix_ipc_swig import MessageQueue

        current = []
        with MessageQueue(sys.argv[1]) as queue:
            queue.listen(print).stop()
            signal.signal(signal.SIGALRM, lambda number, frame: current and current[-1].stop(0))
            signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
            deadline = time.monotonic() + float(sys.argv[2])
            while time.monotonic() < deadline:
                current.append(queue.listen(print))
                assert current[-1].stop()
            signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        queue.name,
        full_count(0.3, 30),
    )


@pytest.mark.skipif("COVERAGE_PROCESS_START" in os.environ, reason="coverage imports threading before the program does")
@pytest.mark.parametrize("first", ["one.listen(received_by('one'))", "import threading"])
def test_a_signal_handler_may_listen_first_in_the_midst_of_the_import_of_threads(run_python, queue, make_queue, first):
    run_python(
        amid_the_import_of_threads(
            """
            import time
            from posix_ipc_swig import MessageQueue

            def handler(number, frame):
                other.send("before the import goes on")
                listeners.append(other.listen(received_by("other")))

            def received_by(name):
                return lambda message, priority: came.append((name, message))

            def wait_for(count):
                deadline = time.monotonic() + 30
                while len(came) < count:
                    assert time.monotonic() < deadline, came
                    time.sleep(0.001)

            interrupt_the_import_of_threads(handler)
            came, listeners = [], []
            with MessageQueue(sys.argv[1]) as one, MessageQueue(sys.argv[2]) as other:
                exec(sys.argv[3])
                wait_for(1)
                other.send("after it")
                wait_for(2)
                assert {name for name, _ in came} == {"other"}
                assert listeners[0].stop() and listeners[0].stopped
                with one.listen(received_by("one")):
                    one.send("in a thread of threading's")
                    wait_for(3)
            """
        ),
        queue.name,
        make_queue().name,
        first,
    )


def test_a_handler_that_raises_amid_the_start_leaves_no_listener(queue, monkeypatch, came):
    """The thread has begun by then, and what it needs must go with it, not before it."""
    started, hooked = [], []

    class Thread(threading.Thread):
        def start(self):
            super().start()
            started.append(self)
            raise KeyboardInterrupt

    monkeypatch.setattr(threading, "excepthook", hooked.append)
    before = open_descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", Thread)
        with pytest.raises(KeyboardInterrupt):
            queue.listen(came.add)
    started[0].join(LIMIT)
    assert not started[0].is_alive()
    assert hooked == []
    assert open_descriptors() == before
    assert not listening._running
    queue.send("hello")
    assert queue.receive(0) == (b"hello", 0)


@pytest.mark.parametrize("end", ["pass", "sys.exit(7)", "os._exit(7)", "listener.stop()", "queue.close()"])
def test_a_program_may_end_while_it_listens(start_python, queue, reopen, end):
    program = start_python(
        f"""
        import os, sys, threading, warnings
        from posix_ipc_swig import MessageQueue

        warnings.simplefilter("ignore", ResourceWarning)
        queue = MessageQueue(sys.argv[1])
        enough, count = threading.Event(), 0

        def handler(message, priority):
            global count
            count += 1
            if count > 50:
                enough.set()

        listener = queue.listen(handler)
        def feed():
            with MessageQueue(sys.argv[1]) as mine:
                while True:
                    mine.send("x", 60)
        threading.Thread(target=feed, daemon=True).start()
        assert enough.wait(30)
        {end}
        """,
        queue.name,
    )
    _, complaints = program.communicate(timeout=LIMIT)
    assert (program.returncode, complaints) == (7 if "exit" in end else 0, "")


def test_a_forked_child_does_not_listen_and_the_parent_goes_on(queue, reopen, make_queue, came):
    handle, other = reopen(queue), make_queue()
    listener = handle.listen(came.add)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)
            assert listener.stopped
            assert listener.stop()
            handle.close()
            os.close(os.open("/dev/null", os.O_RDONLY))
            with other.listen(came.add):  # it can have listeners of its own
                other.send("the child's")
                wait_until(lambda: came)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    before = len(came)
    queue.send("the parent's")
    wait_until(lambda: len(came) == before + 1)
    assert not listener.stopped
    assert listener.stop()
