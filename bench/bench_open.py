"""How long does it take to open a queue that is there, and to close it?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import in_one_process

TARGET = Target("open and close", to_peer=1.30)
CASES = [Case("open and close", "open and close", "an open and a close", "opens", target=TARGET)]

STATEMENTS = {
    PEER: "library.MessageQueue(name).close()",
    OURS: "library.MessageQueue(name).close()",
    RAW: "library.mq_close(library.mq_open(name, flags))",
    # It keeps its own idea of the capacity.
    "ipcqueue": "library.Queue(name, *arguments).close()",
    "python-posixipc": "library.NamedMessageQueue.attach(name).close()",
}
SUBJECTS = in_one_process(STATEMENTS, before={RAW: "flags = library.O_RDWR"})


def test_open_and_close(report, case, subject):
    report(case, subject)
