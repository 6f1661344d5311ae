"""How long does it take to be told, without waiting, that the queue is empty?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import caught, in_one_process

CASES = [
    Case(
        "receive(timeout=0) on an empty queue",
        "empty",
        "a receive and its exception",
        "refused receives",
        target=Target("receive(timeout=0) on an empty queue, exception caught", to_peer=0.20),
    )
]

STATEMENTS = {
    PEER: caught("receiver.receive(timeout=0)", "library.BusyError"),
    OURS: caught("receiver.receive(timeout=0)", "library.BusyError"),
    RAW: caught("library.mq_timedreceive(receiver, room, past)", "OSError"),
    "ipcqueue": caught("receiver.get(block=False)", "Empty"),
    # These two say so by what they return.
    "python-posixipc": "if receiver.get(blocking=False) is not None: raise AssertionError",
    "multiprocessing.Pipe": "if receiver.poll(0): raise AssertionError",
    "SEQPACKET socket pair": caught("receiver.recv(room)", "BlockingIOError"),
    "multiprocessing.Queue": caught("receiver.get(block=False)", "Empty"),
    "pyzmq ipc": caught("receiver.recv(NOBLOCK)", "Again"),
}
BEFORE = {
    RAW: "past = library.timespec(0, 0)",
    "SEQPACKET socket pair": "receiver.setblocking(False)",
    "multiprocessing.Queue": "from queue import Empty",
    "pyzmq ipc": "from zmq import NOBLOCK, Again",
}
SUBJECTS = in_one_process(STATEMENTS, BEFORE)


def test_empty(report, case, subject):
    report(case, subject)
