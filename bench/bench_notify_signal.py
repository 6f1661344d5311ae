"""How long does it take to ask for a signal, be sent one for a message, take it, and receive the message?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case
from subjects import in_one_process

CASES = [Case("notification by signal", "notification", "asked, sent, told, received", "signals", slowness=2)]

STATEMENTS = {
    PEER: "receiver.request_notification(SIGUSR1); sender.send(message); sigwait(signals); receiver.receive()",
    OURS: "receiver.request_notification(SIGUSR1); sender.send(message); sigwait(signals); receiver.receive()",
    RAW: """
library.mq_notify(receiver, event)
library.mq_send(sender, message, 0)
sigwait(signals)
library.mq_receive(receiver, room)
""",
    "python-posixipc": "receiver.request_notification(SIGUSR1); sender.put(message); sigwait(signals); receiver.get()",
}
# The signal waits to be taken, so that no handler's cost is in the figures.
BLOCKED = """
from signal import SIG_BLOCK, SIGUSR1, pthread_sigmask, sigwait
signals = {SIGUSR1}
pthread_sigmask(SIG_BLOCK, signals)
"""
BEFORE = dict.fromkeys(STATEMENTS, BLOCKED)
BEFORE[RAW] += """
event = library.sigevent()
event.sigev_notify, event.sigev_signo = library.SIGEV_SIGNAL, SIGUSR1
"""
SUBJECTS = in_one_process(STATEMENTS, BEFORE)


def test_signal(report, case, subject):
    report(case, subject)
