"""Plain helpers of the tests: waiting for an event, never for a time."""

from __future__ import annotations

import os
import textwrap
import threading
import time
from pathlib import Path

import pytest

from posix_ipc_swig import notify

# Seconds: far more than any event here takes, so that a noisy machine fails no test.
LIMIT = 30

# A child may have been forked while another thread of its parent had the tracer's lock, for which it waits for ever.
no_tracer_beside_forks = pytest.mark.skipif(
    "COVERAGE_PROCESS_START" in os.environ, reason="coverage's tracer takes a lock, and hangs in forks beside threads"
)


def amid_the_import_of_threads(program):
    """Return the program with interrupt_the_import_of_threads(handler), which makes a signal come amid that import."""
    return """
import signal, sys

def interrupt_the_import_of_threads(handler):
    class Interrupt:
        def find_spec(self, name, path, target=None):
            if name == "_weakrefset":
                sys.meta_path.remove(self)
                assert sys.modules["threading"].__spec__._initializing
                signal.raise_signal(signal.SIGUSR1)

    assert "threading" not in sys.modules
    sys.modules.pop("_weakrefset", None)
    sys.meta_path.insert(0, Interrupt())
    signal.signal(signal.SIGUSR1, handler)
""" + textwrap.dedent(program)


def wait_until(predicate, limit=LIMIT):
    """Return once predicate() is true; fail when it is not within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not predicate():
        assert time.monotonic() < deadline, "the event did not come"
        time.sleep(0.002)


def wait_until_asleep(pid, tid):
    """Return once the kernel says that a thread sleeps, and went on sleeping between two looks."""
    status = Path(f"/proc/{pid}/task/{tid}/status")

    def look():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return lines["State"].split()[0], lines["voluntary_ctxt_switches"]

    seen = []

    def still():
        seen.append(look())
        return len(seen) > 4 and seen[-1][0] == "S" and len(set(seen[-5:])) == 1

    wait_until(still)


class Running:
    """A function that runs in a thread of its own."""

    def __init__(self, function, *args):
        self._outcome = []
        self._thread = threading.Thread(target=self._run, args=(function, args), daemon=True)
        self._thread.start()

    def _run(self, function, args):
        try:
            self._outcome.append((function(*args), None))
        except BaseException as error:  # it is for result() to raise
            self._outcome.append((None, error))

    @property
    def done(self):
        return bool(self._outcome)

    def wait_until_asleep(self):
        """Return once the function waits for something."""
        wait_until_asleep("self", self._thread.native_id)
        assert not self.done, self._outcome

    def result(self):
        """Return what the function returned, or raise what it raised."""
        self._thread.join(LIMIT)
        assert self.done, "the call did not end"
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value


def fill(queue):
    """Send as many messages as the queue takes; return them."""
    messages = [f"filler {number}".encode() for number in range(queue.max_messages)]
    for message in messages:
        queue.send(message, timeout=0)
    return messages


def drain(queue):
    """Receive all that the queue holds."""
    return [queue.receive(timeout=0) for _ in range(queue.current_messages)]


def callback_threads():
    """Return the threads of this process that run callbacks."""
    return [thread for thread in threading.enumerate() if thread.name == "posix_ipc_swig callback"]


def open_descriptors():
    """Return the numbers of this process's open files, but for those of the library's listeners, which come and go."""
    with notify._lock:  # under which they do
        theirs = {str(number) for listener in notify._listeners for number in (listener.socket, listener.wake)}
        # The directory's own descriptor is gone by the time anyone looks.
        return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()} - theirs


def sysctl(name):
    """Return fs.mqueue.NAME of this IPC namespace."""
    return int(Path(f"/proc/sys/fs/mqueue/{name}").read_text())


def queue_bytes(max_messages, max_message_size):
    """Return what a queue counts against RLIMIT_MSGQUEUE: getrlimit(2)."""
    return max_messages * (48 + max_message_size) + max_messages * 48


def has_capability(bit):
    """Return whether this process has a capability, by its number in linux/capability.h."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


CAP_SYS_RESOURCE = 24


def type_name(value):
    """Name a parameter of a test by its type: the same in every process, unlike its repr()."""
    return type(value).__name__


def full_count(ordinary, full):
    """Return how often to do a thing: `full` where the environment has FAULTS=full, as `tox run -e faults` does."""
    return full if os.environ.get("FAULTS") == "full" else ordinary
