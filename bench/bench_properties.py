"""How long does it take to read a handle's properties?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import in_one_process

CASES = [
    Case(
        "current_messages",
        "properties",
        "a read",
        "attributes",
        target=Target("current_messages", to_peer=1.05, to_floor=1.20),
    )
]

STATEMENTS = {
    PEER: "receiver.current_messages",
    OURS: "receiver.current_messages",
    RAW: "library.mq_getattr(receiver).mq_curmsgs",
    "ipcqueue": "receiver.qsize()",
}
SUBJECTS = in_one_process(STATEMENTS)


def test_property(report, case, subject):
    report(case, subject)
