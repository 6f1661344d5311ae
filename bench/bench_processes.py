"""How long does a message take between processes?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import InProcesses, LeftOut

CROWD = 4


def processes(work: str, unit: str, size: int, target: Target | None = None) -> Case:
    return Case(
        f"{work}, {size} bytes", "processes", unit, work, size=size, max_message_size=size, slowness=4, target=target
    )


SIZES = (64, 4096)
ROWS = {
    "ping-pong": ("there and back", Target("ping-pong between two processes", to_peer=1.03)),
    "one way": ("a message", Target("one way between two processes", to_peer=0.95)),
    "many to one": ("a message", None),
    "one to many": ("a message", None),
}
CASES = [
    processes(work, unit, size, target if size == 64 else None)
    for work, (unit, target) in ROWS.items()
    for size in SIZES
]

# How each sends to `there` or `back`, and receives from it.
SEND = {
    PEER: "{}.send(message)",
    OURS: "{}.send(message)",
    RAW: "library.mq_send({}, message, 0)",
    "ipcqueue": "{}.put(message)",
    "python-posixipc": "{}.put(message)",
    "multiprocessing.Pipe": "{}.send_bytes(message)",
    "SEQPACKET socket pair": "{}.send(message)",
    "multiprocessing.Queue": "{}.put(message)",
    "pyzmq ipc": "{}.send(message)",
}
RECEIVE = {
    PEER: "{}.receive()",
    OURS: "{}.receive()",
    RAW: "library.mq_receive({}, room)",
    "ipcqueue": "{}.get()",
    "python-posixipc": "{}.get()",
    "multiprocessing.Pipe": "{}.recv_bytes()",
    "SEQPACKET socket pair": "{}.recv(room)",
    "multiprocessing.Queue": "{}.get()",
    "pyzmq ipc": "{}.recv()",
}


def maker(subject: str):
    send, receive = SEND[subject].format, RECEIVE[subject].format

    def make(case: Case) -> InProcesses:
        if subject == "pyzmq ipc" and case.work == "one to many":
            raise LeftOut("PUSH deals its messages out in turn, whoever is ready")
        crowd = CROWD if "many" in case.work else 1
        mine, theirs = {
            "ping-pong": ((send("there"), receive("back")), (receive("there"), send("back"))),
            "one way": ((send("there"),), (receive("there"),)),
            "one to many": ((send("there"),), (receive("there"),)),
            "many to one": ((receive("back"),), (send("back"),)),
        }[case.work]
        return InProcesses(subject, "; ".join(mine), "; ".join(theirs), crowd, case)

    return make


SUBJECTS = {subject: maker(subject) for subject in SEND}


def test_processes(report, case, subject):
    report(case, subject)
