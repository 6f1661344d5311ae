"""A timer for pytest-benchmark that tells durations which were measured before."""

from __future__ import annotations

from typing import Iterator


class ReplayTimer:
    """pytest-benchmark reads its timer before and after each round: it hears zero, then the duration."""

    def __init__(self) -> None:
        self.ticks: Iterator[float] = iter(())

    def load(self, durations: list[float]) -> None:
        self.ticks = (tick for duration in durations for tick in (0.0, duration))

    def __call__(self) -> float:
        return next(self.ticks)


replay_timer = ReplayTimer()
