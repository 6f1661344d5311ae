"""Death: processes killed at random; no message is lost, but for the one in the hands of the dead."""

from __future__ import annotations

import random
import threading
import time

import pytest
from helpers import LIMIT, drain, full_count, wait_until, wait_until_asleep

from posix_ipc_swig import BusyError

RECEIVER = """
import mmap, signal, sys
from posix_ipc_swig import MessageQueue

# A row of slots that outlives this process: 8 bytes for each message.
with open(sys.argv[2], "r+b") as file:
    view = memoryview(mmap.mmap(file.fileno(), 0))
for start in range(0, len(view), mmap.PAGESIZE):
    view[start] = 0  # a page that is missing as a message comes is where SIGKILL loses it
queue = MessageQueue(sys.argv[1])
print("ready", flush=True)
used, many = 0, sys.argv[3]

def keep(message, priority=0):
    global used
    view[8 * used : 8 * used + 8] = message
    used += 1

if many == "listen":
    queue.listen(keep)
    signal.pause()
while True:
    if many == "into":
        queue.receive_into(view[8 * used : 8 * used + 8])
        used += 1
    else:
        for message, _ in [queue.receive()] if many == "one" else queue.receive_many():
            keep(message)
"""

SENDER = """
import struct, sys
from posix_ipc_swig import MessageQueue

begin, = map(int, sys.argv[3:])
queue = MessageQueue(sys.argv[1])
with open(sys.argv[2], "r+b", buffering=0) as file:
    print("ready", flush=True)
    number = begin
    while True:
        number += 1
        queue.send(struct.pack("=Q", number))
        file.seek(0)
        file.write(struct.pack("=Q", number))
"""

SLOTS = 400_000
# How many messages a call may have taken when its process dies before it wrote them down.
HANDS = {"into": 0, "one": 1, "many": 8, "listen": 1}


def numbers(path):
    data = memoryview(path.read_bytes()).cast("Q")
    return [number for number in data if number]


@pytest.mark.parametrize("way", HANDS)
def test_receivers_killed_at_random(make_queue, start_python, tmp_path, way):
    queue, rng = make_queue(max_messages=8, max_message_size=8), random.Random(way)
    received, sent = [], 0
    lost_at_most = 0
    for life in range(full_count(6, 200)):
        path = tmp_path / f"received-{life}"
        with open(path, "wb") as file:
            file.truncate(8 * SLOTS)
        receiver = start_python(RECEIVER, queue.name, path, way)
        assert receiver.stdout.readline() == "ready\n"
        for _ in range(rng.randrange(200, 3000)):
            sent += 1
            queue.send(sent.to_bytes(8, "little"), 30)
        receiver.kill()
        receiver.wait()
        lost_at_most += HANDS[way]
        received += numbers(path)
    received += [int.from_bytes(message, "little") for message, _ in drain(queue)]
    assert len(received) == len(set(received))
    missing = set(range(1, sent + 1)) - set(received)
    assert not set(received) - set(range(1, sent + 1))
    assert len(missing) <= lost_at_most


def test_senders_killed_at_random(make_queue, start_python, tmp_path):
    """What was sent is there, and at most the message that was in the dead one's hands besides."""
    queue, rng = make_queue(max_messages=8, max_message_size=8), random.Random(7)
    path = tmp_path / "sent"
    path.write_bytes(bytes(8))
    last = 0
    for _ in range(full_count(6, 200)):
        sender = start_python(SENDER, queue.name, path, last)
        assert sender.stdout.readline() == "ready\n"
        received = [int.from_bytes(queue.receive(30)[0], "little") for _ in range(rng.randrange(200, 2000))]
        sender.kill()
        sender.wait()
        received += [int.from_bytes(message, "little") for message, _ in drain(queue)]
        told = int.from_bytes(path.read_bytes(), "little")
        assert received == list(range(last + 1, last + 1 + len(received)))
        assert told - last <= len(received) <= told - last + 1
        last += len(received)


@pytest.mark.parametrize("batches", [False, True], ids=["send", "send_many"])
def test_receivers_killed_from_the_side(make_queue, start_python, tmp_path, batches):
    """Several at once, each at a moment that has nothing to do with what is sent."""
    queue, rng = make_queue(max_messages=8, max_message_size=8), random.Random(batches)
    paths, ways, over, problems = [], [], threading.Event(), []

    def live(way):
        path = tmp_path / f"received-{len(paths)}"
        with open(path, "wb") as file:
            file.truncate(8 * SLOTS)
        paths.append(path)
        ways.append(way)
        receiver = start_python(RECEIVER, queue.name, path, way)
        assert receiver.stdout.readline() == "ready\n"
        return receiver

    def kill():
        try:
            for _ in range(full_count(8, 200)):
                time.sleep(rng.random() * 0.02)
                victim = rng.choice(list(alive))
                alive[victim].kill()
                alive[victim].wait()
                alive[victim] = live(victim)
        except BaseException as error:
            problems.append(error)
        finally:
            over.set()

    alive = {way: live(way) for way in HANDS}
    killer = threading.Thread(target=kill)
    killer.start()
    sent = 0
    while not over.is_set():
        messages = [number.to_bytes(8, "little") for number in range(sent + 1, sent + 1 + (20 if batches else 1))]
        if batches:
            sent += queue.send_many(messages, LIMIT)
        else:
            queue.send(messages[0], LIMIT)
            sent += 1
        time.sleep(0.0001 * len(messages))  # so many that the slots of a life hold them
    killer.join()
    assert not problems, problems
    for receiver in alive.values():
        receiver.kill()
        receiver.wait()
    received = [number for path in paths for number in numbers(path)]
    received += [int.from_bytes(message, "little") for message, _ in drain(queue)]
    assert len(received) == len(set(received))
    assert not set(received) - set(range(1, sent + 1))
    assert sent - len(received) <= sum(HANDS[way] for way in ways)


@pytest.mark.parametrize("call", ["receive()", "receive(60)", "receive_many()", "listen(print); signal.pause()"])
def test_who_dies_waiting_takes_nothing(queue, start_python, call):
    child = start_python(
        f"""
        import signal, sys
        from posix_ipc_swig import MessageQueue

        queue = MessageQueue(sys.argv[1])
        print("ready", flush=True)
        queue.{call}
        """,
        queue.name,
    )
    assert child.stdout.readline() == "ready\n"
    wait_until_asleep(child.pid, child.pid)
    child.kill()
    child.wait()
    queue.send("hello")
    assert queue.receive(0) == (b"hello", 0)


def test_a_killed_holder_of_the_request_frees_it_at_once(queue, start_holder):
    for _ in range(full_count(5, 200)):
        holder = start_holder(queue)
        with pytest.raises(BusyError):
            queue.request_notification((print, None))
        holder.kill()
        holder.wait()
        came = []
        queue.request_notification((came.append, "mine"))
        queue.send("x")
        wait_until(lambda came=came: came)
        queue.receive(0)
