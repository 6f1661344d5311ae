"""How long do a send and a receive take where the receiver has a buffer ready?"""

from __future__ import annotations

from cases import OURS, PEER, Case, Target
from subjects import in_one_process


def into(size: int, target: Target | None = None) -> Case:
    return Case(
        f"{size} bytes into a ready buffer",
        "receive_into",
        "a send and a receive",
        "pairs",
        size=size,
        max_messages=2,
        max_message_size=size,
        target=target,
    )


CASES = [into(8192, Target("receive_into a ready buffer, 8 KiB", to_floor=1.12)), into(64), into(1024), into(4096)]

STATEMENTS = {
    # It has no such call: what it has instead.
    PEER: "sender.send(message); receiver.receive()",
    OURS: "sender.send(message); receiver.receive_into(buffer)",
    "multiprocessing.Pipe": "sender.send_bytes(message); receiver.recv_bytes_into(buffer)",
    "SEQPACKET socket pair": "sender.send(message); receiver.recv_into(buffer)",
}
BUFFER = "buffer = bytearray(case.max_message_size)"
SUBJECTS = in_one_process(STATEMENTS, before=dict.fromkeys(STATEMENTS, BUFFER))


def test_receive_into(report, case, subject):
    report(case, subject)
