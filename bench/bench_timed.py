"""How long do a send and a receive take that may wait for a second, but need not?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import in_one_process


def timed(size: int, target: Target | None = None) -> Case:
    return Case(
        f"{size} bytes, timeout=1",
        "timed",
        "a send and a receive",
        "pairs",
        size=size,
        timeout=1,
        max_messages=2,
        max_message_size=size,
        target=target,
    )


CASES = [timed(64, Target("the same with timeout=1", to_peer=0.77, to_floor=1.20)), timed(4096), timed(8192)]

STATEMENTS = {
    PEER: "sender.send(message, timeout=timeout); receiver.receive(timeout=timeout)",
    OURS: "sender.send(message, timeout=timeout); receiver.receive(timeout=timeout)",
    RAW: """
library.mq_timedsend(sender, message, 0, library.timespec(int(time()) + timeout))
library.mq_timedreceive(receiver, room, library.timespec(int(time()) + timeout))
""",
    "ipcqueue": "sender.put(message, timeout=timeout); receiver.get(timeout=timeout)",
    "python-posixipc": "sender.put(message, timeout=timeout); receiver.get(timeout=timeout)",
    # A pipe's writer has no timeout.
    "multiprocessing.Pipe": "sender.send_bytes(message); receiver.poll(timeout) and receiver.recv_bytes()",
    "SEQPACKET socket pair": "sender.send(message); receiver.recv(room)",
    "multiprocessing.Queue": "sender.put(message, timeout=timeout); receiver.get(timeout=timeout)",
    "pyzmq ipc": "sender.send(message); receiver.recv()",
}
SUBJECTS = in_one_process(STATEMENTS)


def test_timed_pair(report, case, subject):
    report(case, subject)
