"""Processes: Python to Python, started in every way, and Python to C, both ways."""

from __future__ import annotations

import copy
import os
import pickle
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import LIMIT, drain, fill, wait_until_asleep

from posix_ipc_swig import O_NONBLOCK, BusyError, ExistentialError, MessageQueue, PermissionsError

ECHO = """
import multiprocessing, os, sys
from posix_ipc_swig import MessageQueue, O_CREX, BusyError, PermissionsError

# multiprocessing imports this file again in a child that does not inherit.
def echo(requests, replies, parent):
    assert os.getpid() != parent
    for message, priority in requests:
        replies.send(message.upper(), timeout=60, priority=priority + 1)
        if message == b"stop":
            break
    for attempt in (lambda: requests.send("x", 0), lambda: replies.receive(0)):
        try:
            attempt()
        except PermissionsError:
            continue
        raise AssertionError("the child has more rights than its handles")
    requests.close()
    replies.close()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    small = {"max_messages": 4, "max_message_size": 16}
    with MessageQueue(None, O_CREX, **small) as requests, MessageQueue(None, O_CREX, **small) as replies:
        try:
            reader = MessageQueue(requests.name, write=False)
            writer = MessageQueue(replies.name, read=False)
            child = context.Process(target=echo, args=(reader, writer, os.getpid()))
            child.start()
            reader.close()
            writer.close()
            for text in ("hello", "world", "", "a\\0b", "stop"):
                requests.send(text, timeout=60, priority=7)
                print(replies.receive(timeout=60))
            child.join(60)
            print(child.exitcode)
        finally:
            requests.unlink()
            replies.unlink()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_parent_and_child_talk(run_python, method):
    output = run_python(ECHO, method)
    assert output.splitlines() == [
        "(b'HELLO', 8)",
        "(b'WORLD', 8)",
        "(b'', 8)",
        "(b'A\\x00B', 8)",
        "(b'STOP', 8)",
        "0",
    ]


def test_programs_that_know_the_name_talk(queue, start_python, finish):
    sender = start_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            for number in range(500):
                queue.send(str(number), priority=number % 2)
        """,
        queue.name,
    )
    came = [queue.receive(timeout=60) for _ in range(500)]
    finish(sender)
    assert sorted(int(message) for message, _ in came) == list(range(500))
    for priority in (0, 1):
        numbers = [int(message) for message, its in came if its == priority]
        assert numbers == list(range(priority, 500, 2))


@pytest.mark.parametrize("timeout", ["None", "3600"])
def test_a_message_wakes_a_process_that_waits(queue, start_python, finish, timeout):
    child = start_python(
        f"""
        import sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            print("ready", flush=True)
            print(queue.receive({timeout}))
        """,
        queue.name,
    )
    assert child.stdout.readline() == "ready\n"
    wait_until_asleep(child.pid, child.pid)
    queue.send("hello", priority=3)
    assert finish(child) == "(b'hello', 3)\n"


@pytest.mark.parametrize("timeout", ["None", "3600"])
def test_room_wakes_a_process_that_waits(queue, start_python, finish, timeout):
    messages = fill(queue)
    child = start_python(
        f"""
        import sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            print("ready", flush=True)
            queue.send("last", {timeout})
        """,
        queue.name,
    )
    assert child.stdout.readline() == "ready\n"
    wait_until_asleep(child.pid, child.pid)
    assert queue.receive(0) == (messages[0], 0)
    finish(child)
    assert drain(queue)[-1] == (b"last", 0)


def test_a_fork_has_handles_of_its_own(run_python, name):
    run_python(
        """
        import os, sys
        from posix_ipc_swig import ExistentialError, MessageQueue, O_CREX

        with MessageQueue(sys.argv[1], O_CREX, max_messages=2, max_message_size=8) as queue:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    queue.send("child")
                    queue.close()
                    try:
                        queue.send("closed")
                    except ExistentialError:
                        status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert queue.receive(0) == (b"child", 0)
            queue.send("parent")
            assert queue.receive(0) == (b"parent", 0)
            queue.unlink()
        """,
        name,
    )


def test_a_program_that_is_executed_inherits_no_descriptor(run_python, queue):
    run_python(
        """
        import subprocess, sys
        from posix_ipc_swig import MessageQueue

        with MessageQueue(sys.argv[1]) as queue:
            check = f"import os; os.fstat({queue.mqd})"
            child = subprocess.run([sys.executable, "-c", check], close_fds=False, capture_output=True, text=True)
            assert "Bad file descriptor" in child.stderr, child
        """,
        queue.name,
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_handle_opens_the_queue_again(queue, protocol):
    with pickle.loads(pickle.dumps(queue, protocol)) as other:
        assert type(other) is MessageQueue
        assert (other.name, other.mode, other.block) == (queue.name, queue.mode, True)
        assert other.mqd != queue.mqd
        other.send("hello", priority=4)
    assert queue.receive(0) == (b"hello", 4)


def test_a_copied_handle_is_a_handle_of_its_own(queue):
    for make in (copy.copy, copy.deepcopy):
        with make(queue) as other:
            assert other.mqd != queue.mqd
        queue.send("hello")
        assert queue.receive(0) == (b"hello", 0)


@pytest.mark.parametrize(
    ("rights", "forbidden"),
    [
        ({"write": False}, lambda queue: queue.send("x", 0)),
        ({"read": False}, lambda queue: queue.receive(0)),
    ],
    ids=["reader", "writer"],
)
def test_a_pickled_handle_keeps_its_rights(queue, reopen, rights, forbidden):
    with pickle.loads(pickle.dumps(reopen(queue, **rights))) as other, pytest.raises(PermissionsError):
        forbidden(other)


def test_a_pickled_handle_keeps_its_blocking_mode(queue, make_queue):
    opened = make_queue(queue.name, flags=O_NONBLOCK)
    queue.block = False
    for handle in (queue, opened):
        with pickle.loads(pickle.dumps(handle)) as other:
            assert other.block is False
            with pytest.raises(BusyError):
                other.receive()


def test_a_pickled_handle_makes_no_queue(make_queue):
    queue = make_queue()
    data = pickle.dumps(queue)
    queue.unlink()
    with pytest.raises(ExistentialError):
        pickle.loads(data)
    with pytest.raises(ExistentialError):
        MessageQueue(queue.name)


def test_a_pickled_handle_of_a_queue_made_with_o_crex_opens_it(make_queue):
    with pickle.loads(pickle.dumps(make_queue(max_messages=2))) as other:
        assert other.max_messages == 2


@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    """Run the C program: peer(*arguments) returns its Popen."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C compiler: {compiler[0]} is not installed")
    program = tmp_path_factory.mktemp("peer") / "peer"
    source = Path(__file__).with_name("peer.c")
    subprocess.run([*compiler, "-Wall", "-o", str(program), str(source), "-lrt"], check=True)
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [str(program), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def finished(process):
    """Return what the C program printed; it must succeed."""
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    return output.splitlines()


def test_c_receives_what_python_sends(queue, peer):
    process = peer("receive", queue.name, 6)
    for number, text in enumerate(("one", "two", "", "näïve ☃", b"x" * 64, "six")):
        queue.send(text, timeout=60, priority=number)
    lines = finished(process)
    assert sorted(lines) == [
        "0 3 one",
        "1 3 two",
        "2 0 ",
        "3 11 näïve ☃",
        "4 64 " + "x" * 64,
        "5 3 six",
    ]


def test_c_receives_in_the_order_of_priorities(queue, peer):
    for text, priority in (("a", 1), ("b", 32767), ("c", 1)):
        queue.send(text, priority=priority)
    assert finished(peer("receive", queue.name, 3)) == ["32767 1 b", "1 1 a", "1 1 c"]


def test_python_receives_what_c_sends(queue, peer):
    process = peer("send", queue.name, 9, *range(20), "", "last")
    came = [queue.receive(timeout=60) for _ in range(22)]
    finished(process)
    assert came == [(text.encode(), 9) for text in [*map(str, range(20)), "", "last"]]


def test_python_wakes_c(queue, peer):
    process = peer("receive", queue.name, 1)
    wait_until_asleep(process.pid, process.pid)
    queue.send("hello", priority=1)
    assert finished(process) == ["1 5 hello"]


@pytest.mark.parametrize("timeout", [None, 60])
def test_c_wakes_python(queue, peer, start_thread, timeout):
    thread = start_thread(queue.receive, timeout)
    thread.wait_until_asleep()
    finished(peer("send", queue.name, 2, "hello"))
    assert thread.result() == (b"hello", 2)


def test_python_opens_a_queue_that_c_made(name, peer):
    finished(peer("create", name, 3, 100))
    with MessageQueue(name) as queue:
        assert (queue.max_messages, queue.max_message_size) == (3, 100)
        queue.send("hello")
        assert finished(peer("receive", name, 1)) == ["0 5 hello"]
        finished(peer("unlink", name))
        with pytest.raises(ExistentialError):
            queue.unlink()


def test_c_sees_no_queue_that_python_unlinked(queue, peer):
    queue.unlink()
    process = peer("send", queue.name, 0, "hello")
    output, _ = process.communicate(timeout=LIMIT)
    assert (process.returncode, "No such file" in output) == (1, True)
