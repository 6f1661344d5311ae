"""How long does each single call take, the slowest too? A mean of many says nothing of these.

A reading of the clock is in each figure, of C's and of Python's.
"""

from __future__ import annotations

import bench_latency
import bench_processes
from cases import Case
from subjects import InProcesses, each_timed, in_one_process

ONE, TWO = "each of many calls, 64 bytes, one process", "each of many round trips, 64 bytes, two processes"
CASES = [
    Case(ONE, "distribution", "a send and a receive", "each pair", max_messages=2),
    Case(TWO, "distribution", "there and back", "each ping-pong", slowness=4),
]

HERE = in_one_process({subject: each_timed(statement) for subject, statement in bench_latency.STATEMENTS.items()})


def maker(subject: str):
    send, receive = bench_processes.SEND[subject].format, bench_processes.RECEIVE[subject].format
    mine = each_timed(f"{send('there')}; {receive('back')}")
    theirs = f"{receive('there')}; {send('back')}"

    def make(case: Case):
        return HERE[subject](case) if case.name == ONE else InProcesses(subject, mine, theirs, 1, case)

    return make


SUBJECTS = {subject: maker(subject) for subject in HERE}


def test_distribution(report, case, subject):
    report(case, subject)
