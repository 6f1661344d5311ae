"""How long does it take to say whether a handle may wait?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case
from subjects import in_one_process

CASES = [Case("block = True", "properties", "a change", "blocks")]

STATEMENTS = {
    PEER: "receiver.block = True",
    OURS: "receiver.block = True",
    RAW: "library.mq_setattr(receiver, attributes)",
}
SUBJECTS = in_one_process(STATEMENTS, before={RAW: "attributes = library.mq_attr()"})


def test_change(report, case, subject):
    report(case, subject)
