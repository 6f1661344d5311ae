"""How long does a message take between threads, on one handle; and do threads on handles of their own get in each
other's way? Where they don't, two take half of one's time a pair.
"""

from __future__ import annotations

from functools import partial

from cases import OURS, PEER, RAW, Case, Target
from subjects import Apart, InThreads, Maker, Subject

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


def apart(crowd: int, work: str) -> Case:
    name = "1 thread" if crowd == 1 else f"{crowd} threads"
    return Case(f"{name}, a queue each", "threads", "a send and a receive", work, slowness=4)


CASES = [
    threads(64, Target("four threads sending to four receiving on one handle", to_peer=0.90)),
    threads(8192),
    apart(1, "one apart"),
    apart(2, "two apart"),
]

STATEMENTS = {
    PEER: ("sender.send(message)", "receiver.receive()"),
    OURS: ("sender.send(message)", "receiver.receive()"),
    RAW: ("library.mq_send(sender, message, 0)", "library.mq_receive(receiver, room)"),
    "ipcqueue": ("sender.put(message)", "receiver.get()"),
    "python-posixipc": ("sender.put(message)", "receiver.get()"),
    "SEQPACKET socket pair": ("sender.send(message)", "receiver.recv(room)"),
    "multiprocessing.Queue": ("sender.put(message)", "receiver.get()"),
}


def make(subject: str, send: str, receive: str, case: Case) -> Subject:
    if case.work == "threads":
        return InThreads(subject, send, receive, CROWD, case)
    return Apart(subject, send, receive, 1 if case.work == "one apart" else 2, case)


SUBJECTS: dict[str, Maker] = {
    subject: partial(make, subject, *statements) for subject, statements in STATEMENTS.items()
}


def test_threads(report, case, subject):
    report(case, subject)
