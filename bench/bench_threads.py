"""How long does a message take between threads: four that send and four that receive, on one handle?"""

from __future__ import annotations

from functools import partial

from cases import OURS, PEER, RAW, Case, Target
from subjects import InThreads

CROWD = 4


def threads(size: int, target: Target | None = None) -> Case:
    return Case(
        f"{CROWD} threads send {size} bytes to {CROWD}",
        "threads",
        "a message",
        "threads",
        size=size,
        max_message_size=size,
        slowness=8,
        target=target,
    )


CASES = [threads(64, Target("four threads sending to four receiving on one handle", to_peer=0.90)), threads(8192)]

STATEMENTS = {
    PEER: ("sender.send(message)", "receiver.receive()"),
    OURS: ("sender.send(message)", "receiver.receive()"),
    RAW: ("library.mq_send(sender, message, 0)", "library.mq_receive(receiver, room)"),
    "ipcqueue": ("sender.put(message)", "receiver.get()"),
    "python-posixipc": ("sender.put(message)", "receiver.get()"),
    "SEQPACKET socket pair": ("sender.send(message)", "receiver.recv(room)"),
    "multiprocessing.Queue": ("sender.put(message)", "receiver.get()"),
}
SUBJECTS = {
    subject: partial(InThreads, subject, send, receive, CROWD) for subject, (send, receive) in STATEMENTS.items()
}


def test_threads(report, case, subject):
    report(case, subject)
