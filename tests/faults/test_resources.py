"""Resources: no operation, done or failed, leaves memory, references, descriptors or threads behind."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import sys
import threading

import pytest
from helpers import full_count, open_descriptors, wait_until

from posix_ipc_swig import O_CREX, MessageQueue, notify, raw


def fails(error, function, *args, **others):
    try:
        function(*args, **others)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def reopen(queue):
    with MessageQueue(queue.name) as handle:
        handle.max_messages  # noqa: B018 # reading it is the operation


def raw_cycle(queue):
    mqd = raw.mq_open(queue.name, raw.O_RDWR, 0, None)
    raw.mq_send(mqd, b"x", 1)
    raw.mq_receive(mqd, 64)
    raw.mq_timedsend(mqd, b"x", 1, raw.timespec(1))
    raw.mq_timedreceive(mqd, 64, raw.timespec(1))
    raw.mq_setattr(mqd, raw.mq_getattr(mqd))
    raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_NONE))
    raw.mq_notify(mqd, None)
    raw.mq_close(mqd)


def raw_callback(queue):
    raw.mq_notify(queue.mqd, raw.sigevent(raw.SIGEV_THREAD, sigev_notify_function=len))
    raw.mq_notify(queue.mqd, None)


def send_receive(queue):
    queue.send(b"x", 1, 3)
    queue.receive(1)


def into(queue, buffer=bytearray(64)):  # noqa: B008 # one for all calls, as a program would
    queue.send("x", priority=5)
    queue.receive_into(buffer, 0)


def batches(queue):
    queue.send_many(["x", bytearray(b"y"), memoryview(b"z")], 0, 2)
    queue.receive_many(None, 0)


def request(queue):
    queue.request_notification((len, ()))
    queue.request_notification(signal.SIGUSR1)
    queue.request_notification()


def properties(queue):
    queue.block = not queue.block
    queue.block = True
    str(queue)
    repr(queue)


def copies(queue):
    copy.copy(queue).close()
    pickle.loads(pickle.dumps(queue)).close()


def twice(queue):
    handle = MessageQueue(queue.name)
    handle.close()
    for use in (handle.close, handle.receive, lambda: handle.send("x"), lambda: handle.mqd, handle.listen):
        fails((OSError, TypeError), use)


def refused(queue):
    fails(OSError, MessageQueue, queue.name, O_CREX)
    fails(OSError, MessageQueue, queue.name + "-no")
    fails(ValueError, MessageQueue, "no slash")
    fails(TypeError, MessageQueue, 5)
    fails(ValueError, MessageQueue, None, O_CREX, max_messages=10**9, max_message_size=1)


def bad_arguments(queue):
    fails(OSError, queue.receive, 0)
    fails(OSError, queue.receive_many, None, 0)
    fails(OSError, queue.receive_into, bytearray(64), 0)
    fails(ValueError, queue.receive_into, bytearray(3), 0)
    fails(TypeError, queue.receive_into, "text", 0)
    fails(BufferError, queue.receive_into, b"read-only", 0)
    fails(ValueError, queue.send, b"x" * 65)
    fails(TypeError, queue.send, 5)
    fails(TypeError, queue.send, "x", timeout="1")
    fails(ValueError, queue.send, "x", priority=-1)
    fails(TypeError, queue.send, "x", nonsense=1)
    fails(ValueError, queue.receive, -1)
    fails(UnicodeEncodeError, queue.send, "\ud800")
    fails(TypeError, queue.send_many, [b"x", 5])
    fails(ValueError, queue.send_many, [bytearray(3), b"x" * 65])
    fails(ValueError, queue.request_notification, 10**9)
    fails(ValueError, queue.request_notification, (1, 2, 3))


def bad_raw(queue):
    fails(OSError, raw.mq_open, queue.name, raw.O_CREAT | raw.O_EXCL, 0o600, None)
    fails(TypeError, raw.mq_open, 5, 0)
    fails(OSError, raw.mq_close, 10**6)
    fails(OSError, raw.mq_unlink, queue.name + "-no")
    fails(OSError, raw.mq_send, 10**6, b"x", 0)
    fails(TypeError, raw.mq_send, queue.mqd, "text", 0)
    fails(OSError, raw.mq_receive, queue.mqd, 1)
    fails(OSError, raw.mq_timedreceive, queue.mqd, 64, raw.timespec(0, 1))
    fails(OSError, raw.mq_notify, 10**6, raw.sigevent(raw.SIGEV_THREAD, sigev_notify_function=len))
    fails(TypeError, raw.sigevent, sigev_notify_function=5)


OPERATIONS = {
    "send and receive": send_receive,
    "receive into": into,
    "batches": batches,
    "open and close": reopen,
    "requests": request,
    "properties": properties,
    "copies": copies,
    "raw": raw_cycle,
    "raw callback": raw_callback,
    "closed handles": twice,
    "refused queues": refused,
    "bad arguments": bad_arguments,
    "bad raw arguments": bad_raw,
}


def keeps_what_is_freed():
    """Whether memory is checked by a tool that holds on to it for a while, to see who uses it."""
    return "libasan" in os.environ.get("LD_PRELOAD", "") or "TSAN_OPTIONS" in os.environ


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_leaves_nothing(make_queue, operation):
    queue = make_queue()
    times = full_count(1500, 1_000_000)
    for _ in range(500):
        operation(queue)
    descriptors, before = open_descriptors(), resident()
    left = []
    # What the interpreter caches, and what other threads of this process still free, are some hundreds of blocks once;
    # what an operation leaves would be there `times` over, each time.
    while len(left) < 3 and not any(blocks < times / 10 for blocks in left):
        gc.collect()
        blocks = sys.getallocatedblocks()
        for _ in range(times):
            operation(queue)
        wait_until(lambda: not any(listener.requests for listener in notify._listeners))
        gc.collect()
        left.append(sys.getallocatedblocks() - blocks)
    assert min(left) < times / 10, left
    if not keeps_what_is_freed():
        assert resident() - before < len(left) * max(times * 4, 4_000_000)
    assert open_descriptors() - descriptors == set()


def test_threads_that_received_leave_nothing(queue, start_thread):
    before = threading.active_count()
    for _ in range(full_count(200, 20_000)):
        thread = start_thread(queue.receive, 30)
        queue.send("x")
        thread.result()
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("size", [0, 1, 64])
def test_references_of_what_is_sent_are_given_back(queue, size):
    message, priority, timeout = bytearray(size), 2000, 12345.5
    counts = [sys.getrefcount(thing) for thing in (message, priority, timeout)]
    for _ in range(1000):
        queue.send(message, timeout, priority)
        queue.receive(timeout)
        queue.send_many([message, message], timeout, priority)
        queue.receive_many(2, timeout)
    assert [sys.getrefcount(thing) for thing in (message, priority, timeout)] == counts
    message.append(1)  # no buffer is held


def test_a_handle_dropped_open_warns_and_one_dropped_closed_does_not(queue, recwarn):
    for _ in range(3):
        MessageQueue(queue.name).close()
    gc.collect()
    assert not recwarn.list
    handle = MessageQueue(queue.name)
    number = handle.mqd
    with pytest.warns(ResourceWarning, match=queue.name):
        del handle
        gc.collect()
    os.close(number)
