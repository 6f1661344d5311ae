"""How rounds are taken: all subjects of a case in turn, so that a machine whose speed drifts drifts under all of them.

pytest-benchmark measures one function after another. So the rounds are taken here, and each benchmark is handed its own
subject's: its timer replays the durations that were measured.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import table
from cases import BARE, FLOOR, OURS, PEER, RAW, Case
from instructions import count_instructions, countable
from peers import PEERS
from replay import replay_timer
from subjects import LeftOut, Loop, Maker, Subject, compile_loop, compiler

# What leaves one of ours out of a case: more than a limit allows. A peer may have reasons of its own.
REASONS = (LeftOut, OSError)
# Seconds until a case that hangs says where.
HANG = 120
NOT_COUNTED = pytest.StashKey[str]()
# Of single calls: half of them, nine in ten, ...
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--rounds", type=int, default=100, help="rounds of each subject (default: 100)")
    group.addoption("--round-time", type=float, default=2.0, help="milliseconds that a round takes, about (default: 2)")
    group.addoption(
        "--set",
        choices=("targets", "all"),
        default="targets",
        help="which cases: those that have a target (default), or all",
    )
    group.addoption(
        "--subjects", type=lambda text: text.split(","), default=None, help="only these, by name, with commas between"
    )
    group.addoption(
        "--instructions",
        action="store_true",
        help="count instructions as well (valgrind's callgrind): they do not depend on the machine's load",
    )


def pytest_configure(config: pytest.Config) -> None:
    # By a signal: pytest's own faulthandler_timeout runs a thread, and in a process that has threads each system call
    # costs 25 ns more than in the C loop. To the terminal: what tests write is captured.
    faulthandler.register(signal.SIGALRM, file=os.dup(sys.__stderr__.fileno()))
    config.addinivalue_line("markers", "rounds(divisor): take that many times fewer rounds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each file of a question has its CASES and its SUBJECTS."""
    module: Any = metafunc.module
    subjects = list(module.SUBJECTS) if BARE in module.SUBJECTS else [FLOOR, *module.SUBJECTS]
    metafunc.parametrize("case", module.CASES, ids=lambda case: case.name)
    metafunc.parametrize("subject", subjects)


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    everything = config.getoption("--set") == "all"
    wanted = config.getoption("--subjects")
    chosen, others = [], []
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=replay_timer))
        case, subject = item.callspec.params["case"], item.callspec.params["subject"]
        asked = (everything or case.target is not None) and (wanted is None or subject in (FLOOR, BARE, *wanted))
        (chosen if asked else others).append(item)
    if others:
        config.hook.pytest_deselected(items=others)
    items[:] = chosen


@pytest.fixture(scope="session")
def loop_program() -> Iterator[Path | None]:
    """Return the C loop, compiled, or None where there is no compiler."""
    # Not pytest's own folder: that is named after the user, and in a user namespace everyone is root.
    with tempfile.TemporaryDirectory() as folder:
        yield None if compiler() is None else compile_loop(Path(folder))


@pytest.fixture(scope="session")
def make_floor(loop_program: Path | None) -> Maker:
    """Return what starts the C loop for a case."""

    def make(case: Case) -> Loop:
        if loop_program is None:
            raise LeftOut("there is no C compiler")
        return Loop(loop_program, case)

    return make


@dataclass
class Outcome:
    """One subject's rounds, in seconds; and those of all subjects that took turns with it."""

    version: str
    durations: list[float]
    beside: dict[str, Outcome]
    samples: list[int]

    def ratio_to(self, other: str) -> float | None:
        """Return the median of the ratios of rounds that ran side by side."""
        if other not in self.beside:
            return None
        pairs = zip(self.durations, self.beside[other].durations)
        return round(statistics.median(mine / theirs for mine, theirs in pairs), 4)

    def over(self, other: str) -> float | None:
        """Return the median of the seconds that a round took more."""
        if other not in self.beside:
            return None
        return statistics.median(mine - theirs for mine, theirs in zip(self.durations, self.beside[other].durations))

    def spread(self) -> list[tuple[float, int]] | None:
        """Return (share of the calls, nanoseconds that none of these exceeds), where single calls were timed.

        A share is left out that fewer than ten calls exceed: what one interruption does is no figure. The last is all.
        """
        if not self.samples:
            return None
        ordered = sorted(self.samples)
        count = len(ordered)
        shares = [share for share in SHARES if count * (1 - share) >= 10]
        return [*((share, ordered[int(count * share)]) for share in shares), (1.0, ordered[-1])]


class Measurements:
    """What each case's subjects took: measured once, told to several benchmarks."""

    def __init__(self, config: pytest.Config, make_floor: Maker) -> None:
        self.rounds: int = config.getoption("--rounds")
        self.round_time: float = config.getoption("--round-time") * 1e-3
        self.make_floor = make_floor
        self.done: dict[Case, dict[str, Outcome | str]] = {}

    def of(self, case: Case, makers: dict[str, Maker], divisor: int) -> dict[str, Outcome | str]:
        """Return what each subject took, or why it is left out."""
        if case not in self.done:
            # Each holds its queues while the others take their turns: the first two are those that matter most.
            if OURS in makers:
                makers = {OURS: makers[OURS], **makers}
            if BARE not in makers:
                makers = {FLOOR: self.make_floor, **makers}
            # In a process that has threads each system call costs more: who starts some comes after the others, and is
            # compared with their rounds of then.
            threaded = {name for name in makers if name in PEERS and PEERS[name].threaded}
            first = self._take(case, {name: make for name, make in makers.items() if name not in threaded}, divisor)
            if threaded:
                names = {FLOOR, PEER, *threaded}
                then = self._take(case, {name: make for name, make in makers.items() if name in names}, divisor)
                first.update((name, then[name]) for name in threaded)
            if isinstance(first.get(OURS), str):
                # No room beside the floor: on its own it is without ratios, but measured.
                first.update(self._take(case, {OURS: makers[OURS]}, divisor))
            self.done[case] = first
        return self.done[case]

    def _take(self, case: Case, makers: dict[str, Maker], divisor: int) -> dict[str, Outcome | str]:
        subjects: dict[str, Subject] = {}
        times: dict[str, int] = {}
        measured: dict[str, Outcome] = {}
        left_out: dict[str, str] = {}
        try:
            for name, make in makers.items():
                try:
                    subjects[name] = make(case)
                    times[name] = calibrated(subjects[name], self.round_time * case.slowness)
                    subjects[name].samples.clear()
                    measured[name] = Outcome(subjects[name].version, [], measured, subjects[name].samples)
                except Exception as error:
                    if name in (OURS, RAW) and not isinstance(error, REASONS):
                        raise
                    reason = f"{name} is not installed: {error}" if isinstance(error, ImportError) else str(error)
                    left_out[name] = f"{case.name}: {reason}"
                    if name in subjects:
                        subjects.pop(name).close()
            order = list(subjects)
            for number in range(max(self.rounds // divisor, 3) if order else 0):
                # Nobody always comes after the same one.
                turn = number % len(order)
                for name in order[turn:] + order[:turn]:
                    measured[name].durations.append(subjects[name].round(times[name]))
        finally:
            # The last one first: its processes hold copies of the pipes that were open when they were forked.
            for subject in reversed(subjects.values()):
                subject.close()
        return {**measured, **left_out}


def calibrated(subject: Subject, duration: float) -> int:
    """Return how many times a subject does its work in about that many seconds; warm it up by trying."""
    times = 1
    while True:
        taken = subject.round(times) * times
        if taken >= duration / 2:
            return max(round(times * duration / taken), 1)
        times *= 2


@pytest.fixture(scope="session")
def measurements(request: pytest.FixtureRequest, make_floor: Maker) -> Measurements:
    return Measurements(request.config, make_floor)


@pytest.fixture(scope="session")
def instructions(request: pytest.FixtureRequest) -> dict[tuple[str, str], float]:
    """Return (case's name, subject) -> instructions, of the cases that have a target."""
    if not request.config.getoption("--instructions"):
        return {}
    asked = {
        (item.module.__name__, item.callspec.params["case"]): None
        for item in request.session.items
        # What waits for another thread has no count of its own.
        if item.callspec.params["case"].target is not None
        and any(countable(maker) for maker in item.module.SUBJECTS.values())
    }
    loop = request.getfixturevalue("loop_program")
    try:
        return count_instructions(list(asked), loop)
    # The counts stand beside the times: without them these are measured all the same.
    except (LeftOut, OSError, ValueError, subprocess.SubprocessError) as error:
        request.config.stash[NOT_COUNTED] = str(error)
        return {}


@pytest.fixture
def report(
    request: pytest.FixtureRequest,
    benchmark: Any,
    measurements: Measurements,
    instructions: dict[tuple[str, str], float],
) -> Callable[[Case, str], None]:
    """Give a benchmark the rounds of one subject, and what is to be known of them."""

    def report(case: Case, subject: str) -> None:
        makers: dict[str, Maker] = request.module.SUBJECTS
        wanted = request.config.getoption("--subjects")
        if wanted is not None:
            makers = {name: make for name, make in makers.items() if name in (*wanted, BARE)}
        marker = request.node.get_closest_marker("rounds")
        signal.alarm(HANG)
        try:
            outcome = measurements.of(case, makers, marker.args[0] if marker else 1)[subject]
        finally:
            signal.alarm(0)
        if isinstance(outcome, str):
            pytest.skip(outcome)
        floor = BARE if BARE in makers else FLOOR
        over = outcome.over(floor)
        info: dict[str, Any] = {
            "subject": subject,
            "version": outcome.version,
            "question": case.question,
            "size": case.size,
            "timeout": case.timeout,
            "max_message_size": case.max_message_size,
            "unit": case.unit,
            "floor": floor,
            "ratio_to_floor": outcome.ratio_to(floor),
            "ratio_to_posix_ipc": outcome.ratio_to(PEER),
            "over_floor_ns": None if over is None else round(over * 1e9, 1),
            "instructions": instructions.get((case.name, subject)),
            "calls": len(outcome.samples) or None,
            "spread_ns": outcome.spread(),
        }
        if subject == OURS and case.target is not None:
            info.update((f"target_{key}", value) for key, value in asdict(case.target).items())
        benchmark.group = case.name
        benchmark.extra_info.update(
            (key, value) for key, value in info.items() if value is not None or key == "timeout"
        )
        replay_timer.load(outcome.durations)
        benchmark.pedantic(lambda: None, rounds=len(outcome.durations), iterations=1)

    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if NOT_COUNTED in config.stash:
        terminalreporter.write_line(f"instructions were not counted: {config.stash[NOT_COUNTED]}")
    session = getattr(config, "_benchmarksession", None)
    rows = [{"group": bench.group, **bench.extra_info} for bench in session.benchmarks] if session else []
    for line in table.target_lines(rows):
        terminalreporter.write_line(line)
