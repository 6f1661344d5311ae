"""How long do ten messages take, sent at a time and received at a time?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import in_one_process


def batch(size: int, target: Target | None = None) -> Case:
    return Case(
        f"ten messages of {size} bytes at a time",
        "batches",
        "ten sends and ten receives",
        "batches",
        size=size,
        max_message_size=size,
        target=target,
    )


CASES = [
    batch(64, Target("send_many/receive_many, ten at a time", to_peer=0.74, to_floor=1.10)),
    batch(1024),
    batch(4096),
]

SINGLY = """
for _ in range(10):
    sender.{send}
for _ in range(10):
    receiver.{receive}
"""
STATEMENTS = {
    PEER: SINGLY.format(send="send(message)", receive="receive()"),
    OURS: "sender.send_many(messages); receiver.receive_many(10)",
    RAW: """
for _ in range(10):
    library.mq_send(sender, message, 0)
for _ in range(10):
    library.mq_receive(receiver, room)
""",
    "ipcqueue": SINGLY.format(send="put(message)", receive="get()"),
    "python-posixipc": SINGLY.format(send="put(message)", receive="get()"),
    "multiprocessing.Pipe": SINGLY.format(send="send_bytes(message)", receive="recv_bytes()"),
    "SEQPACKET socket pair": SINGLY.format(send="send(message)", receive="recv(room)"),
    "multiprocessing.Queue": SINGLY.format(send="put(message)", receive="get()"),
    "pyzmq ipc": SINGLY.format(send="send(message)", receive="recv()"),
}
SUBJECTS = in_one_process(STATEMENTS, before={OURS: "messages = [message] * 10"})


def test_batch(report, case, subject):
    report(case, subject)
