"""How long does it take to be told, without waiting, that the queue is full?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case
from subjects import caught, in_one_process

CASES = [Case("send(timeout=0) on a full queue", "full", "a send and its exception", "refused sends")]

# How each sends without waiting, and what it raises where it would have to.
SENDS = {
    PEER: ("sender.send(message, timeout=0)", "library.BusyError"),
    OURS: ("sender.send(message, timeout=0)", "library.BusyError"),
    RAW: ("library.mq_timedsend(sender, message, 0, past)", "OSError"),
    "ipcqueue": ("sender.put(message, block=False)", "Full"),
    "SEQPACKET socket pair": ("sender.send(message)", "BlockingIOError"),
    "multiprocessing.Queue": ("sender.put(message, block=False)", "Full"),
}
BEFORE = {
    RAW: "past = library.timespec(0, 0)",
    "SEQPACKET socket pair": "sender.setblocking(False)",
    "multiprocessing.Queue": "from queue import Full",
}
FILL = """
try:
    while True:
        {send}
except {exception}:
    pass
"""
STATEMENTS = {subject: caught(send, exception) for subject, (send, exception) in SENDS.items()}
# It says so by what it returns.
STATEMENTS["python-posixipc"] = "if sender.put(message, blocking=False): raise AssertionError"
FILLED = {
    subject: BEFORE.get(subject, "") + FILL.format(send=send, exception=exception)
    for subject, (send, exception) in SENDS.items()
}
FILLED["python-posixipc"] = "while sender.put(message, blocking=False): pass"
SUBJECTS = in_one_process(STATEMENTS, FILLED)


def test_full(report, case, subject):
    report(case, subject)
