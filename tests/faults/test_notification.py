"""Notification under attack: handles that go, callbacks that misbehave, races, exits, every signal."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref

import pytest
from helpers import LIMIT, amid_the_import_of_threads, callback_threads, drain, full_count, open_descriptors, wait_until

from posix_ipc_swig import MessageQueue, raw


@pytest.fixture
def provoked(queue):
    """Make the queue go from empty to not empty."""

    def provoke():
        drain(queue)
        queue.send("hello")

    return provoke


def test_callbacks_that_ask_again_lose_none_and_leave_no_thread(queue):
    total, count = full_count(1500, 20_000), 0
    over = threading.Event()
    descriptors = len(open_descriptors())

    def again(param):
        nonlocal count
        count += 1
        if count == total:
            over.set()
        else:
            queue.request_notification((again, None))
            queue.receive(0)
            queue.send("next")

    queue.request_notification((again, None))
    queue.send("first")
    assert over.wait(LIMIT + total / 20)
    assert count == total
    wait_until(lambda: not callback_threads())
    wait_until(lambda: not any(thread.name == "posix_ipc_swig listener" for thread in threading.enumerate()))
    assert len(open_descriptors()) == descriptors


def test_requests_and_cancels_leave_memory_flat(run_python, queue):
    times = full_count(4000, 50_000)
    run_python(
        """
        import gc, os, sys, time
        from posix_ipc_swig import MessageQueue, notify

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        with MessageQueue(sys.argv[1]) as queue:
            def cycle(times):
                for number in range(times):
                    queue.request_notification((print, number))
                    queue.request_notification()
            def grown():
                # bytes, and blocks of Python's own allocator
                size, blocks = resident(), sys.getallocatedblocks()
                cycle(int(sys.argv[2]))
                gc.collect()
                wait_for_listeners()
                return resident() - size, sys.getallocatedblocks() - blocks

            def wait_for_listeners():
                deadline = time.monotonic() + 30
                while any(listener.requests for listener in notify._listeners):
                    assert time.monotonic() < deadline
                    time.sleep(0.001)

            grown()  # a warm-up
            first, second = grown(), grown()
            # Sanitizers do, to see who uses it.
            keeps_what_is_freed = "san.so" in os.environ.get("LD_PRELOAD", "") or "TSAN_OPTIONS" in os.environ
            # What is left by each cycle is left in both batches; one may meet a change of the interpreter's own.
            assert keeps_what_is_freed or min(first[0], second[0]) < 256 * 1024, (first, second)
            assert min(first[1], second[1]) < 100, (first, second)
        """,
        queue.name,
        times,
    )


def test_more_requests_than_a_socket_has_room_for(run_in_namespace):
    """The kernel keeps some 270 answers a socket; the next request would wait for another's end."""
    run_in_namespace(
        """
        import contextlib, os, resource, threading, time
        from posix_ipc_swig import MessageQueue, O_CREX

        count = 400
        set_limit("queues_max", count)
        with contextlib.ExitStack() as stack:
            queues = []
            for _ in range(count):
                queue = stack.enter_context(MessageQueue(None, O_CREX, max_messages=1, max_message_size=1))
                queue.unlink()
                queues.append(queue)
            came = set()
            for number, queue in enumerate(queues):
                queue.request_notification((came.add, number))
            for queue in queues:
                queue.send("x")
            deadline = time.monotonic() + 30
            while len(came) < count:
                assert time.monotonic() < deadline, len(came)
                time.sleep(0.01)
        """
    )


def test_threads_that_replace_each_others_request_are_never_told_of_another_process(queue, start_thread):
    start = threading.Barrier(4)

    def ask():
        start.wait(LIMIT)
        for _ in range(full_count(700, 20_000)):
            queue.request_notification((print, "unused"))
            queue.request_notification(signal.SIGUSR1)

    for thread in [start_thread(ask) for _ in range(4)]:
        thread.result()
    queue.request_notification()


def test_a_handler_may_make_a_request_in_the_midst_of_another(run_python, queue, make_queue):
    """In a process of its own: it would wait for a lock that it holds itself."""
    output = run_python(
        """
        import signal, sys, time
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as one, MessageQueue(sys.argv[2]) as other:
            came = []
            def handler(number, frame):
                came.append(number)
                other.request_notification((print, "unused"))
                signal.setitimer(signal.ITIMER_REAL, 0.0002)  # the next one, however long this took
            one.request_notification((print, "imports what requests need"))
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            deadline = time.monotonic() + float(sys.argv[3])
            while time.monotonic() < deadline:
                one.request_notification((print, "unused"))
                one.request_notification()
            signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first: the handler sets the timer again
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(len(came) > 10)
        """,
        queue.name,
        make_queue().name,
        full_count(0.3, 30),
    )
    assert output == "True\n"


@pytest.mark.skipif("COVERAGE_PROCESS_START" in os.environ, reason="coverage imports threading before the program does")
@pytest.mark.parametrize("first", ["one.request_notification((came.append, 1))", "import threading"])
def test_a_handler_may_make_the_first_request_in_the_midst_of_the_import_of_threads(
    run_python, queue, make_queue, first
):
    """Of the one that the main thread's first request makes, or that the program makes itself."""
    run_python(
        amid_the_import_of_threads(
            """
            import time
            from posix_ipc_swig import MessageQueue

            def handler(number, frame):
                other.request_notification((came.append, 2))
                other.send("x")  # before the import goes on

            interrupt_the_import_of_threads(handler)
            came = []
            with MessageQueue(sys.argv[1]) as one, MessageQueue(sys.argv[2]) as other:
                exec(sys.argv[3])
                expected = {2}
                if first_is_a_request := "request" in sys.argv[3]:
                    one.send("x")
                    expected = {1, 2}
                deadline = time.monotonic() + 30
                while set(came) < expected:
                    assert time.monotonic() < deadline, came
                    time.sleep(0.001)
                one.request_notification((came.append, 3))
                one.receive(0) if first_is_a_request else None
                one.send("x")
                while 3 not in came:
                    assert time.monotonic() < deadline, came
                    time.sleep(0.001)
                assert sorted(came) == [*sorted(expected), 3]
            """
        ),
        queue.name,
        make_queue().name,
        first,
    )


def test_a_handler_may_make_a_request_while_threading_has_its_lock(run_python, queue, make_queue):
    """The main thread is in threading when the signal comes; a listener that starts a callback needs the same lock."""
    run_python(
        """
        import sys, threading
        sys.path.insert(0, sys.argv[3])
        from helpers import wait_until, wait_until_asleep
        from posix_ipc_swig import MessageQueue, notify

        with MessageQueue(sys.argv[1]) as one, MessageQueue(sys.argv[2]) as other:
            came = []
            other.request_notification((came.append, "first"))
            (listener,) = (thread for thread in threading.enumerate() if thread.name == "posix_ipc_swig listener")
            with threading._active_limbo_lock:  # as threading.enumerate() has it
                other.send("x")
                wait_until(lambda: any(each.due for each in notify._listeners))
                wait_until_asleep("self", listener.native_id)  # it goes to start a callback, and waits
                one.request_notification((came.append, "second"))  # in a handler
            one.send("x")
            wait_until(lambda: len(came) == 2)
        """,
        queue.name,
        make_queue().name,
        os.path.dirname(os.path.dirname(__file__)),
    )


def test_a_callback_that_finds_no_thread_comes_later(queue, provoked, monkeypatch):
    """RuntimeError from Thread.start(): too many threads just now."""
    refused, came = [], []

    class Thread(threading.Thread):
        def start(self):
            if self.name == "posix_ipc_swig callback" and len(refused) < 3:
                refused.append(self)
                raise RuntimeError("can't start new thread")
            super().start()

    queue.request_notification((came.append, "late"))
    monkeypatch.setattr(threading, "Thread", Thread)
    provoked()
    wait_until(lambda: came)
    assert (came, len(refused)) == (["late"], 3)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_request_for_which_no_listener_can_be_started_leaves_nothing(run_python, queue, error):
    run_python(
        """
        import os, sys, threading
        from posix_ipc_swig import MessageQueue

        class Thread(threading.Thread):
            def start(self):
                raise error("can't start new thread")

        error = getattr(__builtins__, sys.argv[2])
        with MessageQueue(sys.argv[1]) as queue:
            before = os.listdir("/proc/self/fd")
            threading.Thread, real = Thread, threading.Thread
            for _ in range(3):
                try:
                    queue.request_notification((print, None))
                except error:
                    pass
                else:
                    raise AssertionError
            assert os.listdir("/proc/self/fd") == before
            threading.Thread = real
            called = threading.Event()
            queue.request_notification((lambda param: called.set(), None))
            queue.send("hello")
            assert called.wait(30)
        """,
        queue.name,
        error.__name__,
    )


def test_a_program_that_closes_every_descriptor_can_ask_again(run_python, queue):
    """A listener whose socket was closed by somebody ends, and the next request starts another."""
    run_python(
        """
        import os, sys, threading, time
        from posix_ipc_swig import MessageQueue, notify

        handle = MessageQueue(sys.argv[1])
        handle.request_notification((print, "lost"))
        came = []
        threading.excepthook = came.append
        os.closerange(3, 100)
        deadline = time.monotonic() + 30
        with MessageQueue(sys.argv[1]) as queue:
            while notify._listeners:
                assert time.monotonic() < deadline
                # what wakes the listener, which polls a socket that is no descriptor of ours any more
                try:
                    queue.send("x", 0)
                    queue.receive(0)
                except OSError:
                    pass
                time.sleep(0.01)
            called = threading.Event()
            queue.request_notification((lambda param: called.set(), None))
            queue.send("hello", 0)
            assert called.wait(30)
        assert came and came[0].thread.name == "posix_ipc_swig listener"
        os._exit(0)  # the first handle's descriptor is gone
        """,
        queue.name,
    )


def misbehaving():
    def raises(queue, done):
        raise LookupError("a callback's own")

    def asks_again(queue, done):
        queue.request_notification((lambda param: None, None))

    def cancels(queue, done):
        queue.request_notification()

    def closes(queue, done):
        queue.close()

    def forks(queue, done):
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def exits(queue, done):
        raise SystemExit(5)

    def blocks(queue, done):
        assert done.wait(LIMIT)

    return [raises, asks_again, cancels, closes, forks, exits, blocks]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("misbehave", misbehaving(), ids=lambda function: function.__name__)
def test_after_a_callback_that_misbehaves_the_next_one_comes(queue, reopen, monkeypatch, misbehave):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    begun, done, came = threading.Event(), threading.Event(), threading.Event()
    handle = reopen(queue)

    def callback(param):
        begun.set()
        misbehave(handle, done)

    handle.request_notification((callback, None))
    queue.send("hello")
    assert begun.wait(LIMIT)
    if misbehave.__name__ != "blocks":  # that one goes on while the next comes
        wait_until(lambda: not callback_threads())
    queue.receive(0)
    queue.request_notification((lambda param: came.set(), None))
    queue.send("hello")
    assert came.wait(LIMIT)
    done.set()
    wait_until(lambda: not callback_threads())


def test_a_callback_may_drop_the_last_reference_to_its_handle(queue):
    holder = [MessageQueue(queue.name)]
    number = holder[0].mqd
    gone = weakref.ref(holder[0])
    dropped = threading.Event()

    def drop(param):
        holder[0].close()
        holder.clear()
        gc.collect()
        dropped.set()

    holder[0].request_notification((drop, None))
    queue.send("hello")
    assert dropped.wait(LIMIT)
    wait_until(lambda: gc.collect() is not None and gone() is None)
    assert str(number) not in open_descriptors()


def test_a_callback_may_drop_its_handle_open_with_another_request_pending(queue):
    """The descriptor stays, by promise, and so does the request."""
    holder, came = [MessageQueue(queue.name)], []
    number, gone = holder[0].mqd, weakref.ref(holder[0])
    dropped = threading.Event()

    def drop(param):
        holder[0].request_notification((came.append, "told"))
        with pytest.warns(ResourceWarning, match=queue.name):
            holder.clear()
            gc.collect()
        dropped.set()

    holder[0].request_notification((drop, None))
    queue.send("hello")
    assert dropped.wait(LIMIT)
    wait_until(lambda: gc.collect() is not None and gone() is None)
    assert str(number) in open_descriptors()
    drain(queue)
    queue.send("hello")
    wait_until(lambda: came == ["told"])
    os.close(number)


def test_a_callback_that_asks_again_and_cancels_is_not_called_again(queue, provoked):
    came, done = [], threading.Event()

    def callback(param):
        came.append(param)
        queue.request_notification((callback, "cancelled"))
        queue.request_notification()
        done.set()

    queue.request_notification((callback, "first"))
    provoked()
    assert done.wait(LIMIT)
    provoked()
    drain(queue)
    queue.request_notification((came.append, "last"))
    provoked()
    wait_until(lambda: "last" in came)
    wait_until(lambda: not callback_threads())
    assert came == ["first", "last"]


def test_nothing_waits_for_a_callback_that_takes_a_minute(queue, reopen, make_queue, start_thread):
    """Not other callbacks, nor a cancel, nor the close of its handle, nor the end of the thread that started it."""
    handle, other, came = reopen(queue), make_queue(), []
    begun, done = threading.Event(), threading.Event()

    def takes_a_minute(param):
        begun.set()
        assert done.wait(120 + LIMIT)

    def tell(number):
        other.request_notification((came.append, number))
        other.send("x")
        wait_until(lambda: came[-1:] == [number])
        drain(other)

    handle.request_notification((takes_a_minute, None))
    queue.send("hello")
    assert begun.wait(LIMIT)
    try:
        for number in range(10):
            tell(number)
        drain(queue)
        for leave in (lambda: handle.request_notification(), handle.close):
            reopen(queue).request_notification((came.append, "unwanted"))
            start_thread(leave).result()
        queue.send("hello")
        # The thread that started it has nothing to do any more.
        wait_until(lambda: not any(thread.name == "posix_ipc_swig listener" for thread in threading.enumerate()))
        done.wait(full_count(0, 60))
        tell("another")
        wait_until(lambda: len(callback_threads()) == 1)
        assert came == [*range(10), "another"]
    finally:
        done.set()
    wait_until(lambda: not callback_threads())


@pytest.mark.parametrize("way", ["drop", "close", "reopen"])
def test_handles_that_go_while_arrivals_notify_them(queue, start_python, finish, way):
    """Another process sends all the time; each handle asks and goes at once."""
    sender = start_python(
        """
        import sys
        from posix_ipc_swig import BusyError, MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            print("ready", flush=True)
            while True:
                try:
                    queue.send("x", 0.5)
                except BusyError:
                    break
        """,
        queue.name,
    )
    assert sender.stdout.readline() == "ready\n"
    came = []
    for number in range(1, full_count(500, 10_000)):
        handle = MessageQueue(queue.name)
        handle.request_notification((came.append, number))
        drain(queue)
        if number % 10 == 0:  # this one is told first, while the next messages come
            wait_until(lambda number=number: drain(queue) is not None and number in came)
        if way == "drop":
            descriptor = handle.mqd
            with pytest.warns(ResourceWarning):
                del handle
            os.close(descriptor)
        else:
            handle.close()
            if way == "reopen":
                with MessageQueue(queue.name) as handle:
                    # A request of its own: the first may have been answered already.
                    handle.request_notification((came.append, -number))
                    drain(handle)
    finish(sender)
    wait_until(lambda: not callback_threads())
    assert len(came) == len(set(came))
    queue.request_notification((came.append, "last"))
    drain(queue)
    queue.send("x")
    wait_until(lambda: came[-1:] == ["last"])


def test_requests_and_cancels_racing_with_arrivals(queue, start_python, finish):
    """Only callbacks receive: one that does not come leaves the rest in the queue."""
    total = full_count(5000, 50_000)
    sender = start_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            for number in range(int(sys.argv[2])):
                queue.send(str(number))
                if number % 10 == 0:  # then the next finds the queue empty, and somebody must be told
                    while queue.current_messages:
                        pass
        """,
        queue.name,
        total,
    )
    # One at a time asks, looks whether the queue is empty still, and takes what was there before.
    turn, received, calls, cancels = threading.RLock(), [], 0, 0

    def ask():
        """Return whether it will be told of what comes: not of what is there already."""
        queue.request_notification((callback, None))
        return queue.current_messages == 0

    def callback(param):
        nonlocal calls
        with turn:
            calls += 1
            if len(received) < total:  # else one that comes as the test ends
                take()

    def take():
        while not ask():
            received.extend(int(message) for message, _ in drain(queue))

    with turn:
        take()
    while len(received) < total and (sender.poll() is None or queue.current_messages):
        with turn:
            queue.request_notification()
            cancels += 1
            take()
        called = calls
        # the next cancel only after a callback, or when all is said
        wait_until(lambda called=called: calls > called or len(received) == total)
    finish(sender)
    wait_until(lambda: not callback_threads())
    assert received == list(range(total))
    assert calls > 0
    assert cancels > 0
    queue.request_notification()


class Param:
    """What a weak reference can watch."""

    def __call__(self, value):
        pass


def raw_event(function):
    return raw.sigevent(raw.SIGEV_THREAD, sigev_notify_function=function)


def test_a_raw_callback_on_its_way_is_not_lost_to_the_next_request(queue):
    came = []
    for _ in range(full_count(200, 5000)):
        raw.mq_notify(queue.mqd, raw_event(came.append))
        queue.send("x", 0)  # keeps the interpreter lock: the callback cannot have run
        raw.mq_notify(queue.mqd, raw_event(came.append))
        queue.receive(0)
        queue.send("x", 0)
        queue.receive(0)
    wait_until(lambda: len(came) == 2 * full_count(200, 5000))


@pytest.mark.parametrize("end", ["cancel", "close", "close another"])
def test_a_raw_request_that_is_over_keeps_nothing_alive(queue, end):
    mqd, other = (raw.mq_open(queue.name, raw.O_RDWR) for _ in range(2))
    function = Param()
    gone = weakref.ref(function)
    raw.mq_notify(mqd, raw_event(function))
    del function
    assert gone() is not None
    if end == "cancel":
        raw.mq_notify(other, None)
    elif end == "close":
        raw.mq_close(mqd)
    else:
        raw.mq_close(other)
    wait_until(lambda: gc.collect() is not None and gone() is None)
    for number, closed in ((mqd, end == "close"), (other, end == "close another")):
        if not closed:
            raw.mq_close(number)


def test_raw_requests_that_fail_keep_nothing_alive(queue):
    function = Param()
    gone = weakref.ref(function)
    with pytest.raises(OSError):
        raw.mq_notify(10**6, raw_event(function))
    raw.mq_notify(queue.mqd, raw.sigevent(raw.SIGEV_NONE))
    with pytest.raises(OSError):
        raw.mq_notify(queue.mqd, raw_event(function))
    del function
    wait_until(lambda: gc.collect() is not None and gone() is None)
    raw.mq_notify(queue.mqd, None)


EXITS = {
    "ends": ("pass", 0),
    "sys.exit": ("sys.exit(7)", 7),
    "os._exit": ("os._exit(7)", 7),
    "an exception": ("os.dup2(os.open(os.devnull, os.O_WRONLY), 2); raise KeyError", 1),
    "sys.exit in a callback": ("callback_exits.append(1); seen.clear(); seen.wait(30); sys.exit(9)", 9),
    "os._exit in a callback": ("callback_leaves.append(1); threading.Event().wait(60)", 11),
}


@pytest.mark.parametrize("rounds", range(2))
@pytest.mark.parametrize(("end", "status"), EXITS.values(), ids=EXITS)
def test_a_program_may_end_while_callbacks_arrive(start_python, queue, end, status, rounds):
    program = start_python(
        f"""
        import os, sys, threading, time, warnings
        from posix_ipc_swig import MessageQueue

        warnings.simplefilter("ignore", ResourceWarning)
        queue = MessageQueue(sys.argv[1])
        callback_exits, callback_leaves = [], []
        count, seen = 0, threading.Event()

        def callback(param):
            global count
            count += 1
            queue.request_notification((callback, None))
            try:
                while True:
                    queue.receive(0)
            except OSError:
                pass
            if count > 20:
                seen.set()
            if callback_exits:
                sys.exit(3)
            if callback_leaves:
                os._exit(11)

        def feed():
            while True:
                queue.send("x", 60)

        callback(None)
        for _ in range(2):
            threading.Thread(target=feed, daemon=True).start()
        assert seen.wait(30)
        {end}
        """,
        queue.name,
    )
    _, complaints = program.communicate(timeout=LIMIT)
    assert (program.returncode, complaints) == (status, "")


DISPOSITIONS = """
import os, signal, sys, threading, time, warnings
from posix_ipc_swig import MessageQueue

warnings.simplefilter("ignore")
signal.alarm(60)
IGNORED = {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT}
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
how = sys.argv[2]
tried = 0
with MessageQueue(sys.argv[1]) as queue:
    for number in sorted(signal.valid_signals()):
        if how != "none" and number in (signal.SIGKILL, signal.SIGSTOP):
            continue  # they take no other disposition
        tried += 1
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os.setpgid(0, 0)
            came = []
            if how == "handler":
                signal.signal(number, lambda number, frame: came.append(number))
            elif how == "ignored":
                signal.signal(number, signal.SIG_IGN)
            elif number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
            with MessageQueue(sys.argv[1]) as own:
                own.request_notification(number)
                queue.send("hello")
                while how == "handler" and not came:
                    time.sleep(0.001)
                assert own.receive(0) == (b"hello", 0)
            os._exit(0 if came == ([number] if how == "handler" else []) else 1)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            assert how == "none" and number in STOPPING and os.WSTOPSIG(status) == number, (number, status)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        elif how == "none" and number not in IGNORED and number not in STOPPING:
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, (number, status)
        else:  # a stopping signal is none to a group that has no parent in its session
            assert status == 0, (number, status)
        while queue.current_messages:
            queue.receive(0)
print(tried)
"""


@pytest.mark.parametrize("how", ["handler", "none", "ignored"])
def test_every_signal_with_every_disposition(run_python, queue, how):
    fixed = 2 if how != "none" else 0  # SIGKILL and SIGSTOP
    assert int(run_python(DISPOSITIONS, queue.name, how)) == len(signal.valid_signals()) - fixed


def test_a_request_for_a_callback_as_the_interpreter_ends_is_refused(run_python, queue):
    """Its thread would be the first: CPython before 3.12 crashes when one begins then."""
    output = run_python(
        """
        import atexit, sys

        @atexit.register  # before the library's own, so it runs after
        def late():
            try:
                queue.request_notification((print, None))
            except RuntimeError as error:
                print(error)
            queue.close()

        from posix_ipc_swig import MessageQueue

        queue = MessageQueue(sys.argv[1])
        """,
        queue.name,
    )
    assert "the interpreter is ending" in output
