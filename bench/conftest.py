"""How rounds are taken: all subjects of a case in turn, so that a machine whose speed drifts drifts under all of them.

pytest-benchmark measures one function after another. So the rounds are taken here, and each benchmark is handed its own
subject's: its timer replays the durations that were measured.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Callable

import pytest
from replay import replay_timer
from subjects import FLOOR, PEER, Case, Loop, Module, Raw, compile_loop


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--rounds", type=int, default=100, help="rounds of each subject (default: 100)")
    group.addoption("--iterations", type=int, default=1000, help="pairs of send and receive a round (default: 1000)")


@pytest.fixture(scope="session")
def loop_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_loop(tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="session")
def measurements() -> dict[Case, dict[str, Any]]:
    """What each case's subjects took: measured once, told to several benchmarks."""
    return {}


@pytest.fixture
def measured(
    request: pytest.FixtureRequest, loop_program: Path, measurements: dict[Case, dict[str, Any]]
) -> Callable[[Case], dict[str, Any]]:
    """Return what measures a case: subject -> (version, seconds a pair of each round) or why it is left out."""
    rounds: int = request.config.getoption("--rounds")
    iterations: int = request.config.getoption("--iterations")
    makers: dict[str, Callable[[Case], Any]] = {
        FLOOR: lambda case: Loop(loop_program, case, iterations),
        PEER: lambda case: Module("posix_ipc", "posix_ipc", case, iterations),
        "posix_ipc_swig": lambda case: Module("posix_ipc_swig", "posix_ipc_swig", case, iterations),
        "posix_ipc_swig.raw": lambda case: Raw(case, iterations),
    }

    def measure(case: Case) -> dict[str, Any]:
        if case in measurements:
            return measurements[case]
        subjects: dict[str, Any] = {}
        result: dict[str, Any] = {}
        try:
            for name, make in makers.items():
                try:
                    subjects[name] = make(case)
                except ImportError as error:
                    result[name] = f"{name} is not installed here: {error}"
            for name, subject in subjects.items():
                subject.round()  # warm up
                result[name] = (subject.version, [])
            for _ in range(rounds):
                for name, subject in subjects.items():
                    result[name][1].append(subject.round())
        finally:
            for subject in subjects.values():
                subject.close()
        measurements[case] = result
        return result

    return measure


@pytest.fixture
def report_subject(benchmark: Any, measured: Callable[[Case], dict[str, Any]]) -> Callable[[Case, str], None]:
    """Give a benchmark the rounds of one subject, and its ratios to the C loop and to posix_ipc."""

    def report(case: Case, subject: str) -> None:
        outcome = measured(case)
        if isinstance(outcome[subject], str):
            pytest.skip(outcome[subject])
        version, durations = outcome[subject]
        benchmark.group = case.name
        benchmark.extra_info.update(
            subject=subject, version=version, size=case.size, timeout=case.timeout, unit="a send and a receive"
        )
        for key, other in (("ratio_to_floor", FLOOR), ("ratio_to_posix_ipc", PEER)):
            # The median of the ratios of rounds that ran side by side.
            if not isinstance(outcome[other], str):
                ratios = [mine / theirs for mine, theirs in zip(durations, outcome[other][1])]
                benchmark.extra_info[key] = round(statistics.median(ratios), 4)
        replay_timer.load(durations)
        benchmark.pedantic(lambda: None, rounds=len(durations), iterations=1)

    return report
