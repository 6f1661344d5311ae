"""Threads: any number on one handle, both directions; closing beside them; free-threaded Python too."""

from __future__ import annotations

import collections
import contextlib
import threading

import pytest
from helpers import LIMIT, drain, full_count, no_tracer_beside_forks, open_descriptors, sysctl

from posix_ipc_swig import BusyError, ExistentialError, MessageQueue, raw

PROPERTIES = ("mqd", "block", "max_messages", "max_message_size", "current_messages")


@pytest.mark.parametrize("max_message_size", [64, 20_000], ids=["small", "on the heap"])
@pytest.mark.parametrize("batches", [False, True], ids=["single", "batches"])
def test_many_threads_both_directions_each_message_once(make_queue, start_thread, max_message_size, batches):
    """Every thread sends and receives, on one handle, with and without waiting."""
    if max_message_size > sysctl("msgsize_max"):
        pytest.skip("a message that needs the heap is over fs.mqueue.msgsize_max here")
    queue = make_queue(max_message_size=max_message_size)
    count, each = 8, full_count(400, 20_000)
    start = threading.Barrier(count)
    taken = [[] for _ in range(count)]

    def receive(mine, timeout):
        with contextlib.suppress(BusyError):
            mine.extend(queue.receive_many(None, timeout) if batches else [queue.receive(timeout)])

    def work(number):
        start.wait(LIMIT)
        for index in range(each):
            message = b"%d %d" % (number, index)
            while True:
                try:
                    queue.send_many([message], 0) if batches else queue.send(message, 0)
                    break
                except BusyError:
                    receive(taken[number], 0.001)
            if index % 3 == 0:
                receive(taken[number], 0)

    for thread in [start_thread(work, number) for number in range(count)]:
        thread.result()
    came = [message for mine in taken for message, _ in mine] + [message for message, _ in drain(queue)]
    sent = [b"%d %d" % (number, index) for number in range(count) for index in range(each)]
    assert collections.Counter(came) == collections.Counter(sent)


def test_closing_beside_waiting_threads_never_lets_them_meet_another_queue(make_queue, start_thread):
    """The number that close() frees is taken at once by another queue, which nobody may touch."""
    queue, other = make_queue(), make_queue(max_messages=1)
    other.send("not for them")
    taken = 0
    for number in range(full_count(150, 3000)):
        handle = MessageQueue(queue.name)
        start = threading.Barrier(4)

        def wait(timeout, handle=handle, start=start):
            start.wait(LIMIT)
            try:
                return handle.receive(timeout)
            except ExistentialError:
                return None

        threads = [start_thread(wait, timeout) for timeout in (None, 60, None)]
        start.wait(LIMIT)
        asleep = number % 2 == 1
        if asleep:
            for thread in threads:
                thread.wait_until_asleep()
        freed = handle.mqd
        handle.close()
        # The waiting keep the number to the end of their wait; it is free once the last has its message.
        with contextlib.ExitStack() as stack:
            handles = [stack.enter_context(MessageQueue(other.name))]
            for _ in threads:
                queue.send("for them")
                handles.append(stack.enter_context(MessageQueue(other.name)))
            results = [thread.result() for thread in threads]
            handles.append(stack.enter_context(MessageQueue(other.name)))
            taken += freed in [handle.mqd for handle in handles]
            assert set(results) <= {None, (b"for them", 0)}
            assert not asleep or None not in results
            assert other.current_messages == 1
        assert len(drain(queue)) == results.count(None)
    assert taken > 0


def test_a_property_beside_a_close_has_a_value_or_raises_existential_error(queue, reopen, start_thread):
    for _ in range(full_count(200, 5000)):
        handle = reopen(queue)
        start = threading.Barrier(4)

        def read(handle=handle, start=start):
            start.wait(LIMIT)
            try:
                for _ in range(20):
                    for name in PROPERTIES:
                        value = getattr(handle, name)
                        assert value is not None
                        assert value in ((True, False) if name == "block" else range(20_000))
                    assert handle.name == queue.name
            except ExistentialError:
                return

        def close(handle=handle, start=start):
            start.wait(LIMIT)
            handle.close()

        threads = [start_thread(function) for function in (read, read, read, close)]
        for thread in threads:
            thread.result()


def test_text_and_with_beside_a_close_never_raise(queue, start_thread):
    """They look whether the handle is closed, and then it is."""
    for _ in range(full_count(500, 5000)):
        handle = MessageQueue(queue.name)
        start = threading.Barrier(3)

        def show(handle=handle, start=start):
            start.wait(LIMIT)
            for _ in range(10):
                assert queue.name in str(handle)
                assert queue.name in repr(handle)

        def leave(handle=handle, start=start):
            start.wait(LIMIT)
            handle.__exit__(None, None, None)

        for thread in [start_thread(function) for function in (show, leave, leave)]:
            thread.result()
        assert handle.closed


def test_threads_that_open_one_handle_open_it_once(queue, start_thread):
    """__init__ by many at once: one wins, and no descriptor is lost."""
    before = open_descriptors()
    for _ in range(full_count(200, 5000)):
        handle = MessageQueue.__new__(MessageQueue)
        start = threading.Barrier(4)

        def open_it(handle=handle, start=start):
            start.wait(LIMIT)
            try:
                handle.__init__(queue.name)
            except TypeError:
                return 0
            return 1

        assert sum(thread.result() for thread in [start_thread(open_it) for _ in range(4)]) == 1
        handle.close()
    assert open_descriptors() == before


def test_a_handle_that_could_not_be_opened_can_be_opened_later(queue, make_name):
    handle = MessageQueue.__new__(MessageQueue)
    with pytest.raises(ExistentialError):
        handle.__init__(make_name())
    handle.__init__(queue.name)
    handle.close()


def test_block_is_set_and_read_by_many_threads(queue, start_thread):
    def change():
        for number in range(full_count(2000, 100_000)):
            queue.block = number % 2
            assert queue.block in (True, False)

    for thread in [start_thread(change) for _ in range(4)]:
        thread.result()
    queue.block = True


def test_raw_structs_and_requests_are_used_by_many_threads(queue, start_thread):
    """One sigevent whose callable is replaced while others read it and ask with it."""
    event = raw.sigevent(raw.SIGEV_THREAD, sigev_notify_function=print)
    descriptors = [raw.mq_open(queue.name, raw.O_RDWR) for _ in range(2)]

    def use(number):
        for index in range(full_count(2000, 50_000)):
            event.sigev_notify_function = lambda value: None
            assert callable(event.sigev_notify_function)
            assert (event == event) in (True, False)  # another thread may change it between two looks
            assert repr(event)
            with contextlib.suppress(OSError):
                raw.mq_notify(descriptors[number % 2], event if index % 2 else None)

    for thread in [start_thread(use, number) for number in range(4)]:
        thread.result()
    for number in descriptors:
        raw.mq_close(number)


@no_tracer_beside_forks
def test_opening_closing_dropping_and_forking_beside_each_other(run_python, queue):
    run_python(
        """
        import gc, os, sys, threading, time, warnings
        from posix_ipc_swig import MessageQueue

        warnings.simplefilter("ignore")
        over = threading.Event()
        def churn():
            while not over.is_set():
                handles = [MessageQueue(sys.argv[1]) for _ in range(5)]
                for handle in handles:
                    handle.close()
        threads = [threading.Thread(target=churn) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(int(sys.argv[2])):
            child = os.fork()
            if child == 0:
                with MessageQueue(sys.argv[1]) as mine:
                    mine.send("x", 0)
                    mine.receive(0)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        over.set()
        for thread in threads:
            thread.join()
        """,
        queue.name,
        full_count(60, 2000),
    )
