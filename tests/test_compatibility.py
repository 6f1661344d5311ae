"""Compatibility: a program written for posix_ipc's message queues runs with only its import changed."""

from __future__ import annotations

import importlib.util

import pytest

# A dispatcher: a parent hands out jobs by priority, a worker does them, and replies are announced by notification.
PROGRAM = """
import subprocess
import sys
import threading
import time

import posix_ipc

if not posix_ipc.MESSAGE_QUEUES_SUPPORTED:
    sys.exit("this platform has no message queues")


def log(*items):
    print(*items, flush=True)


def worker(jobs_name, replies_name):
    jobs = posix_ipc.MessageQueue(jobs_name, write=False)
    replies = posix_ipc.MessageQueue(replies_name, read=False)
    try:
        jobs.send("not mine to send")
    except posix_ipc.PermissionsError:
        pass
    else:
        return 1
    while True:
        job, priority = jobs.receive()
        if job == b"quit":
            break
        replies.send(b"done: " + job, timeout=10, priority=priority)
    jobs.close()
    replies.close()
    return 0


def collect(replies, expected):
    collected = []
    complete = threading.Event()

    def announced(mq):
        # Ask again first, then take all there is.
        mq.request_notification((announced, mq))
        try:
            while True:
                message, priority = mq.receive(timeout=0)
                collected.append((message.decode("utf-8"), priority))
        except posix_ipc.BusyError:
            pass
        if len(collected) >= expected:
            complete.set()

    replies.request_notification((announced, replies))
    return collected, complete


def main():
    jobs = posix_ipc.MessageQueue(None, posix_ipc.O_CREX, max_messages=8, max_message_size=32)
    replies = posix_ipc.MessageQueue(
        jobs.name + ".replies", flags=posix_ipc.O_CREAT | posix_ipc.O_EXCL, mode=0o600, max_messages=8,
        max_message_size=64,
    )
    log("names", jobs.name.startswith("/"), replies.name == jobs.name + ".replies")
    log("capacity", jobs.max_messages, jobs.max_message_size, replies.max_messages, replies.max_message_size)
    log("mode", oct(replies.mode), "mqd", jobs.mqd > 2, jobs.mqd == jobs.fileno())
    log("text", jobs.name in str(jobs), "MessageQueue" in repr(jobs))

    try:
        posix_ipc.MessageQueue(jobs.name, posix_ipc.O_CREX)
    except posix_ipc.ExistentialError as error:
        log("exists", isinstance(error, posix_ipc.Error))
    try:
        posix_ipc.MessageQueue("/no-such-queue-of-ours")
    except posix_ipc.ExistentialError:
        log("missing")
    try:
        posix_ipc.MessageQueue("/too-big", posix_ipc.O_CREX, max_messages=10 ** 7, max_message_size=1)
    except ValueError:
        log("too big is a ValueError")

    for text, priority in (("sweep", 0), ("cook", 5), ("serve", 5), ("fire!", posix_ipc.QUEUE_PRIORITY_MAX)):
        jobs.send(text, priority=priority)
    log("waiting jobs", jobs.current_messages)

    collected, complete = collect(replies, 4)
    child = subprocess.Popen([sys.executable, "-I", __file__, jobs.name, replies.name])
    log("all replies came", complete.wait(60))
    log("collected", sorted(collected))
    replies.request_notification(None)
    jobs.send("quit", priority=0)
    log("worker ended", child.wait(60))

    try:
        jobs.receive(timeout=0)
    except posix_ipc.BusyError:
        log("nothing left")
    started = time.time()
    try:
        jobs.receive(timeout=0.1)
    except posix_ipc.BusyError:
        log("nothing came", time.time() - started >= 0.09)
    jobs.block = False
    log("block", jobs.block)
    try:
        jobs.receive()
    except posix_ipc.BusyError:
        log("would block")
    while True:
        try:
            jobs.send(b"\\0" * 32)
        except posix_ipc.BusyError:
            log("full at", jobs.current_messages)
            break
    try:
        jobs.send("x" * 33)
    except ValueError:
        log("too long is a ValueError")

    try:
        jobs.name = "/other"
    except (AttributeError, TypeError):
        log("the name stays")

    jobs.unlink()
    posix_ipc.unlink_message_queue(replies.name)
    for forget in (jobs.unlink, lambda: posix_ipc.unlink_message_queue(replies.name)):
        try:
            forget()
        except posix_ipc.ExistentialError:
            log("gone")
    jobs.close()
    replies.close()
    for use in (jobs.close, jobs.receive, lambda: jobs.send("x")):
        try:
            use()
        except posix_ipc.ExistentialError:
            log("closed")
    log("constants", posix_ipc.O_CREX == posix_ipc.O_CREAT | posix_ipc.O_EXCL,
        posix_ipc.USER_SIGNAL_MIN < posix_ipc.USER_SIGNAL_MAX, posix_ipc.QUEUE_MESSAGES_MAX_DEFAULT > 0,
        posix_ipc.QUEUE_MESSAGE_SIZE_MAX_DEFAULT > 0, isinstance(posix_ipc.VERSION, str))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.exit(worker(*sys.argv[1:]))
    main()
"""

OUTPUT = """\
names True True
capacity 8 32 8 64
mode 0o600 mqd True True
text True True
exists True
missing
too big is a ValueError
waiting jobs 4
all replies came True
collected [('done: cook', 5), ('done: fire!', 32767), ('done: serve', 5), ('done: sweep', 0)]
worker ended 0
nothing left
nothing came True
block False
would block
full at 8
too long is a ValueError
the name stays
gone
gone
closed
closed
closed
constants True True True True True
"""


@pytest.mark.parametrize("module", ["posix_ipc_swig", "posix_ipc"])
def test_a_program_written_for_posix_ipc_runs_with_only_its_import_changed(run_python, module):
    """With posix_ipc itself, where it is installed, to know that the program is one that it runs."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    program = PROGRAM
    if module != "posix_ipc":
        program = program.replace("import posix_ipc\n", f"import {module} as posix_ipc\n", 1)
    assert run_python(program) == OUTPUT
