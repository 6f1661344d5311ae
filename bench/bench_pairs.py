"""How long do a send and a receive take, in one process, on a queue that is never full and never empty for long?"""

from __future__ import annotations

import pytest
from replay import replay_timer
from subjects import FLOOR, PEER, Case

CASES = [Case(size, timeout) for size in (64, 4096) for timeout in (None, 1)]
SUBJECTS = [FLOOR, PEER, "posix_ipc_swig", "posix_ipc_swig.raw"]


@pytest.mark.benchmark(timer=replay_timer)
@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pair(report_subject, case, subject):
    report_subject(case, subject)
