"""Threads: one handle serves many, and who waits keeps nobody else from running."""

from __future__ import annotations

import collections
import threading

import pytest
from helpers import drain, fill

from posix_ipc_swig import BusyError


@pytest.mark.parametrize("timeout", [None, 60])
def test_every_message_is_received_once(queue, start_thread, timeout):
    senders, receivers, each = 4, 4, 300

    def send(sender):
        for number in range(each):
            queue.send(f"{sender} {number}", timeout, priority=sender)

    def receive():
        return [queue.receive(timeout) for _ in range(senders * each // receivers)]

    threads = [start_thread(receive) for _ in range(receivers)]
    for sender in [start_thread(send, number) for number in range(senders)]:
        sender.result()
    came = [message for thread in threads for message in thread.result()]
    sent = [(f"{sender} {number}".encode(), sender) for sender in range(senders) for number in range(each)]
    assert collections.Counter(came) == collections.Counter(sent)
    assert queue.current_messages == 0


def test_one_thread_gets_messages_of_one_priority_in_the_order_of_sending(queue, start_thread):
    thread = start_thread(lambda: [queue.receive(60)[0] for _ in range(1000)])
    for number in range(1000):
        queue.send(str(number))
    assert thread.result() == [str(number).encode() for number in range(1000)]


def test_who_waits_longest_gets_the_first_message(queue, start_thread):
    threads = []
    for _ in range(3):
        threads.append(start_thread(queue.receive))
        threads[-1].wait_until_asleep()
    for number in range(3):
        queue.send(str(number))
        assert threads[number].result() == (str(number).encode(), 0)


def test_who_waits_longest_sends_first(make_queue, start_thread):
    queue = make_queue(max_messages=1)
    queue.send("full")
    threads = []
    for number in range(3):
        threads.append(start_thread(queue.send, str(number)))
        threads[-1].wait_until_asleep()
    assert [queue.receive()[0] for _ in range(4)] == [b"full", b"0", b"1", b"2"]
    for thread in threads:
        thread.result()


@pytest.mark.parametrize("timeout", [None, 3600])
def test_threads_may_wait_to_send_and_to_receive_on_one_handle(make_queue, start_thread, timeout):
    full, empty = make_queue(), make_queue()
    messages = fill(full)
    sender = start_thread(full.send, b"last", timeout)
    receiver = start_thread(empty.receive, timeout)
    sender.wait_until_asleep()
    receiver.wait_until_asleep()
    assert full.receive(0)[0] == messages[0]
    sender.result()
    empty.send("hello")
    assert receiver.result() == (b"hello", 0)
    assert [message for message, _ in drain(full)] == [*messages[1:], b"last"]


@pytest.mark.parametrize("call", ["receive()", "receive(3600)", "send('x')", "send('x', 3600)"])
def test_other_threads_run_while_one_waits(run_python, name, call):
    """In a process of its own: were the interpreter lock held, nothing in it could go on."""
    run_python(
        f"""
        import sys, threading
        from posix_ipc_swig import MessageQueue, O_CREX

        call = {call!r}
        with MessageQueue(sys.argv[1], O_CREX, max_messages=1, max_message_size=8) as queue:
            if call.startswith("send"):
                queue.send("full")
            thread = threading.Thread(target=lambda: queue.{call})
            thread.start()
            state = ""
            while state != "S":
                with open(f"/proc/self/task/{{thread.native_id}}/stat") as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
            sum(range(1_000_000))
            assert thread.is_alive()
            queue.receive(0) if call.startswith("send") else queue.send("go")
            thread.join()
        """,
        name,
    )


def test_a_program_may_end_while_a_daemon_thread_waits(run_python, queue):
    for call in ("receive()", "receive(3600)"):
        run_python(
            f"""
            import sys, threading, warnings
            from posix_ipc_swig import MessageQueue

            warnings.simplefilter("ignore", ResourceWarning)
            queue = MessageQueue(sys.argv[1])
            thread = threading.Thread(target=lambda: queue.{call}, daemon=True)
            thread.start()
            """,
            queue.name,
        )


def test_handles_may_be_opened_and_closed_by_many_threads(queue, reopen, start_thread):
    start = threading.Barrier(4)

    def use():
        start.wait(30)
        for _ in range(100):
            with type(queue)(queue.name) as handle:
                try:
                    handle.send("hello", 0)
                    handle.receive(0)
                except BusyError:  # the others were faster
                    pass

    for thread in [start_thread(use) for _ in range(4)]:
        thread.result()


def test_one_handle_may_be_closed_by_many_threads_once(queue, reopen, start_thread):
    for _ in range(50):
        handle = reopen(queue)
        start = threading.Barrier(4)

        def close(handle=handle, start=start):
            start.wait(30)
            try:
                handle.close()
            except OSError:
                return 0
            return 1

        assert sum(thread.result() for thread in [start_thread(close) for _ in range(4)]) == 1
