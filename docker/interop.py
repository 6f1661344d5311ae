"""One side of a talk between two containers that share an IPC namespace: both run this, with the same name.

10,000 messages go each way with priorities and checksums; then a full queue of mixed priorities comes out in order;
then each side is notified, by a signal and by a thread, of a message of the other's. Prints JSON; standard library
only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import signal
import struct
import sys
import threading
import time
from typing import Any

import describing

from posix_ipc_swig import O_CREX, QUEUE_PRIORITY_MAX, ExistentialError, MessageQueue, unlink_message_queue

# Seconds without the other side before this one gives up.
PATIENCE = 60
CAPACITY = 8
HEADER = struct.Struct("!II32s")
LONGEST = 512


class Mismatch(Exception):
    """What came is not what was sent."""


def check(condition: bool, what: str) -> None:
    if not condition:
        raise Mismatch(what)


def pack(number: int, priority: int, payload: bytes) -> bytes:
    body = struct.pack("!II", number, priority) + payload
    return HEADER.pack(number, priority, hashlib.sha256(body).digest()) + payload


def unpack(message: bytes) -> tuple[int, int, bytes]:
    number, priority, digest = HEADER.unpack_from(message)
    payload = message[HEADER.size :]
    body = struct.pack("!II", number, priority) + payload
    check(digest == hashlib.sha256(body).digest(), f"the checksum of message {number}")
    return number, priority, payload


def open_when_there(name: str) -> MessageQueue:
    """Open a queue that the other side makes: nothing tells of a name, so look again until it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return MessageQueue(name)
        except ExistentialError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def send_all(queue: MessageQueue, count: int, problems: list[BaseException]) -> None:
    chance = random.Random(count)
    try:
        for number in range(count):
            priority = chance.choice((0, 1, 7, QUEUE_PRIORITY_MAX - 1, QUEUE_PRIORITY_MAX))
            payload = chance.getrandbits(8 * 200).to_bytes(200, "big")[: chance.randrange(201)]
            queue.send(pack(number, priority, payload), PATIENCE, priority)
    except BaseException as error:  # the main thread raises it
        problems.append(error)


def exchange(incoming: MessageQueue, outgoing: MessageQueue, count: int) -> int:
    """Send and receive `count` messages at the same time; return the bytes that came."""
    problems: list[BaseException] = []
    sender = threading.Thread(target=send_all, args=(outgoing, count, problems), daemon=True)
    sender.start()
    seen = set()
    last: dict[int, int] = {}
    total = 0
    for _ in range(count):
        message, priority = incoming.receive(PATIENCE)
        number, told, payload = unpack(message)
        check(priority == told, f"message {number} came with priority {priority}, and was sent with {told}")
        check(number not in seen, f"message {number} came twice")
        check(number > last.get(priority, -1), f"message {number} came after {last.get(priority)} of its priority")
        seen.add(number)
        last[priority] = number
        total += len(payload)
    check(seen == set(range(count)), "the numbers of the messages")
    sender.join(PATIENCE)
    if problems:
        raise problems[0]
    check(not sender.is_alive(), "the sender ends")
    return total


def fill(queue: MessageQueue) -> None:
    for number in range(CAPACITY):
        priority = (5, 1, QUEUE_PRIORITY_MAX, 1, 0, 5, 2, 0)[number]
        queue.send(pack(number, priority, b""), PATIENCE, priority)


def drain_in_order(queue: MessageQueue) -> None:
    """Once the queue is full, take all of it: highest priority first, and oldest first within one."""
    deadline = time.monotonic() + PATIENCE
    while queue.current_messages < CAPACITY:
        check(time.monotonic() < deadline, "the other side fills the queue")
        time.sleep(0.01)
    came = [unpack(queue.receive(0)[0])[:2] for _ in range(CAPACITY)]
    check(came == sorted(came, key=lambda one: (-one[1], one[0])), f"the order of a full queue: {came}")


def be_notified(incoming: MessageQueue, outgoing: MessageQueue) -> list[str]:
    """Ask to be notified, say so, and wait for the other side's message: by a signal, then by a thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    incoming.request_notification(signal.SIGUSR1)
    outgoing.send(b"ready for a signal", PATIENCE)
    came = signal.sigtimedwait([signal.SIGUSR1], PATIENCE)
    check(came is not None, "the signal comes")
    check(incoming.receive(PATIENCE)[0] == b"ring", "the message after the signal")

    called = threading.Event()
    incoming.request_notification((lambda event: event.set(), called))
    outgoing.send(b"ready for a thread", PATIENCE)
    check(called.wait(PATIENCE), "the thread is called")
    check(incoming.receive(PATIENCE)[0] == b"ring", "the message after the call")
    return ["signal", "thread"]


def notify(incoming: MessageQueue, outgoing: MessageQueue) -> None:
    for way in (b"signal", b"thread"):
        message, _ = incoming.receive(PATIENCE)
        check(message == b"ready for a " + way, f"the other side says {message!r}")
        outgoing.send(b"ring", PATIENCE)


def talk(side: str, name: str, count: int) -> dict[str, Any]:
    names = [f"{name}-to-second", f"{name}-to-first"]
    if side == "first":
        queues = [MessageQueue(one, O_CREX, 0o600, CAPACITY, LONGEST) for one in names]
    else:
        queues = [open_when_there(one) for one in names]
    to_second, to_first = queues
    incoming, outgoing = (to_first, to_second) if side == "first" else (to_second, to_first)
    start = time.monotonic()
    total = exchange(incoming, outgoing, count)
    seconds = time.monotonic() - start
    # The lowest priority comes last. The second answers, so that the first knows of an empty queue to fill.
    if side == "first":
        outgoing.send(b"through", PATIENCE)
        check(incoming.receive(PATIENCE)[0] == b"through", "the other side is through")
        fill(outgoing)
        drain_in_order(incoming)
        notified = be_notified(incoming, outgoing)
        notify(incoming, outgoing)
    else:
        check(incoming.receive(PATIENCE)[0] == b"through", "the other side is through")
        outgoing.send(b"through", PATIENCE)
        drain_in_order(incoming)
        fill(outgoing)
        notify(incoming, outgoing)
        notified = be_notified(incoming, outgoing)
    for queue in queues:
        queue.close()
    return {
        "side": side,
        "system": describing.describe_system(),
        "messages": count,
        "bytes": total,
        "seconds": round(seconds, 3),
        "full_queue_in_order": True,
        "notified_by": notified,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=("first", "second"))
    parser.add_argument("--name", required=True, help="both sides' queues begin with it")
    parser.add_argument("--count", type=int, default=10_000, help="messages each way (default: 10,000)")
    arguments = parser.parse_args()
    try:
        print(json.dumps(talk(arguments.side, arguments.name, arguments.count)))
    finally:
        if arguments.side == "first":
            for ending in ("-to-second", "-to-first"):
                with contextlib.suppress(ExistentialError):
                    unlink_message_queue(arguments.name + ending)
    return 0


if __name__ == "__main__":
    sys.exit(main())
