"""How long does it take to ask for a callback, have it called in a thread for a message, and receive the message?"""

from __future__ import annotations

from cases import OURS, PEER, Case
from subjects import in_one_process

CASES = [Case("notification by callback", "notification", "asked, sent, told, received", "callbacks", slowness=8)]

ASK = "receiver.request_notification((tell, told)); "
STATEMENTS = {
    PEER: ASK + "sender.send(message); told.acquire(); receiver.receive()",
    OURS: ASK + "sender.send(message); told.acquire(); receiver.receive()",
    "python-posixipc": ASK + "sender.put(message); told.acquire(); receiver.get()",
}
BEFORE = """
from threading import Lock
told = Lock()
told.acquire()
def tell(lock):
    lock.release()
"""
SUBJECTS = in_one_process(STATEMENTS, dict.fromkeys(STATEMENTS, BEFORE))


def test_callback(report, case, subject):
    report(case, subject)
