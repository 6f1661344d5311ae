"""How long does it take to make a queue, remove its name and close it?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case
from subjects import in_one_process

CASES = [Case("create, unlink and close", "open and close", "a queue made and gone", "creations", max_messages=1)]

NEW = "new = name + '-new'"
MAKE = "queue = library.MessageQueue(new, library.O_CREX, max_messages=1, max_message_size=64); "
STATEMENTS = {
    PEER: MAKE + "queue.unlink(); queue.close()",
    OURS: MAKE + "queue.unlink(); queue.close()",
    RAW: "queue = library.mq_open(new, flags, 0o600, small); library.mq_unlink(new); library.mq_close(queue)",
    "ipcqueue": "queue = library.Queue(new, *arguments); queue.unlink(); queue.close()",
    "python-posixipc": "queue = library.NamedMessageQueue.create(new, 1, 64); queue.unlink(); queue.close()",
}
BEFORE = dict.fromkeys(STATEMENTS, NEW)
BEFORE[RAW] += """
flags = library.O_RDWR | library.O_CREAT | library.O_EXCL
small = library.mq_attr()
small.mq_maxmsg, small.mq_msgsize = 1, 64
"""
SUBJECTS = in_one_process(STATEMENTS, BEFORE)


def test_creation(report, case, subject):
    report(case, subject)
