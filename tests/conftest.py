"""Fixtures: queues that are gone after each test, threads, processes and signal handlers."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from helpers import LIMIT, Running

import posix_ipc_swig
from posix_ipc_swig import O_CREX, ExistentialError, MessageQueue, unlink_message_queue

_counter = itertools.count()

# Isolated: neither the folder nor PYTHONPATH can bring in the source tree. Development mode: memory errors show.
# Under a sanitizer memory comes from the C library (PYTHONMALLOC, which -I does not see), without the debug allocator:
# CPython ends with another in its place for a moment, and a thread that ends just then frees with that (3.11).
SANITIZED = ("-s", "-W", "default", "-X", "faulthandler")
PYTHON = (sys.executable, *(SANITIZED if "PYTHONMALLOC" in os.environ else ("-I", "-X", "dev")))


def pytest_report_header():
    return f"posix_ipc_swig: {posix_ipc_swig.VERSION} from {os.path.dirname(posix_ipc_swig.__file__)}"


@pytest.fixture
def make_name():
    """Return new names that no queue has; what has one of them at the end is unlinked."""
    names = []

    def make():
        names.append(f"/test-{os.getpid()}-{next(_counter)}-{secrets.token_hex(4)}")
        return names[-1]

    yield make
    for name in names:
        with contextlib.suppress(ExistentialError):
            unlink_message_queue(name)


@pytest.fixture
def name(make_name):
    """A name that no queue has."""
    return make_name()


@pytest.fixture
def make_queue(make_name):
    """Make or open queues, small ones unless said otherwise; they are closed and unlinked at the end."""
    queues = []
    names = []

    def make(name=None, flags=O_CREX, max_messages=4, max_message_size=64, **others):
        if name is None:
            name = make_name()
        queue = MessageQueue(name, flags, max_messages=max_messages, max_message_size=max_message_size, **others)
        queues.append(queue)
        names.append(queue.name)
        return queue

    yield make
    for queue in queues:
        if not queue.closed:
            queue.close()
    for name in names:
        with contextlib.suppress(ExistentialError):
            unlink_message_queue(name)


@pytest.fixture
def queue(make_queue):
    """An empty queue for 4 messages of 64 bytes."""
    return make_queue()


@pytest.fixture
def reopen(make_queue):
    """Open a second handle of a queue."""

    def reopen(queue, **others):
        return make_queue(queue.name, flags=0, **others)

    return reopen


@pytest.fixture
def start_thread():
    """Run a function in a thread: see helpers.Running."""
    return Running


@pytest.fixture
def start_python(tmp_path):
    """Start a Python program, away from the source tree, and return its Popen; it is killed at the end."""
    processes = []

    def start(program, *args, prefix=(), python=PYTHON):
        script = tmp_path / f"program{len(processes)}.py"
        script.write_text(textwrap.dedent(program))
        process = subprocess.Popen(
            [*prefix, *python, str(script), *map(str, args)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its children too, which would keep the pipes open
        process.communicate()


@pytest.fixture
def start_holder(start_python):
    """Start a process that holds a queue's notification request until its input ends; return its Popen."""

    def start(queue):
        holder = start_python(
            """
            import sys
            from posix_ipc_swig import MessageQueue

            queue = MessageQueue(sys.argv[1])
            queue.request_notification((print, None))
            print("ready", flush=True)
            sys.stdin.readline()
            """,
            queue.name,
        )
        assert holder.stdout.readline() == "ready\n"
        return holder

    return start


@pytest.fixture
def finish():
    """Wait for a program that start_python started; return its output. It must succeed and complain of nothing."""

    def finish(process):
        output, complaints = process.communicate(timeout=2 * LIMIT)
        assert (process.returncode, complaints) == (0, ""), output
        return output

    return finish


@pytest.fixture
def run_python(start_python, finish):
    """Run a Python program to its end and return its output. It must succeed and complain of nothing."""

    def run(program, *args, **others):
        return finish(start_python(program, *args, **others))

    return run


@pytest.fixture(scope="session")
def namespace_command():
    """The command that runs another in an IPC namespace of its own, where fs.mqueue.* can be changed."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    probe = "echo 9 > /proc/sys/fs/mqueue/msg_default"
    for command in (["unshare", "--ipc"], ["unshare", "--user", "--map-root-user", "--ipc"]):
        result = subprocess.run([*command, "sh", "-c", probe], capture_output=True, text=True)
        if result.returncode == 0:
            return command
    pytest.skip(f"no IPC namespace with fs.mqueue settings of its own here: {result.stderr.strip()}")


@pytest.fixture
def run_in_namespace(run_python, namespace_command):
    """Run a Python program in an IPC namespace of its own, where set_limit(name, value) sets fs.mqueue.NAME."""
    prelude = textwrap.dedent(
        """
        def set_limit(name, value):
            with open(f"/proc/sys/fs/mqueue/{name}", "w") as file:
                file.write(str(value))
        """
    )

    def run(program, *args):
        return run_python(prelude + textwrap.dedent(program), *args, prefix=namespace_command)

    return run


@pytest.fixture
def run_in_mounted_namespace(run_in_namespace, namespace_command):
    """Run a program in an IPC namespace whose queues are mounted at /dev/mqueue: mount() does that."""
    if subprocess.run([*namespace_command, "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace of one's own here")
    prelude = """
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)

def unshare(flags):
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")

def mount(kind, target):
    if libc.mount(b"none", target, kind, 0, None):
        raise OSError(ctypes.get_errno(), "mount")

NEWNS, NEWIPC = 0x20000, 0x8000000
unshare(NEWNS)
libc.mount(None, b"/", None, 0x44000, None)  # private, and all below it
if not os.path.isdir("/dev/mqueue"):
    # No such folder on this machine, so a /dev of one's own.
    mount(b"tmpfs", b"/dev")
    os.mkdir("/dev/mqueue")
    open("/dev/null", "w").close()
"""

    def run(program):
        return run_in_namespace(prelude + program)

    return run


@pytest.fixture
def handle_signal():
    """Set signal handlers, as signal.signal() does; the old ones are back at the end."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signal handlers run in the main thread, and the tests run in another")
    before = {}

    def handle(number, handler):
        old = signal.signal(number, handler)
        before.setdefault(number, old)

    yield handle
    for number, handler in before.items():
        signal.signal(number, handler)
