"""What a person sees while the matrix runs: a live table, a row a cell; plain lines where nobody watches."""

from __future__ import annotations

import collections
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "not run": "yellow", "running": "cyan"}
WAITS = "waits"
# What is shown first where there is no room for all; then what passed.
RANKS = ("running", "failed", "not run", WAITS)
FRAME = 6  # lines of a table that are no rows, and the cursor's


@dataclass
class Row:
    """One cell: its step and since when, and how it came out."""

    name: str
    profile: str
    step: str = WAITS
    progress: str = ""
    since: float = field(default_factory=time.monotonic)
    started: float | None = None
    seconds: float = 0.0
    verdict: str = ""
    figures: str = ""

    @property
    def word(self) -> str:
        return "running" if self.started is not None else self.verdict or WAITS


class Board:
    """All cells' rows; any thread may tell it what a cell does."""

    def __init__(self, console: Console, cells: list[tuple[str, str]]) -> None:
        self.console = console
        self.rows = {key: Row(*key) for key in cells}
        self.lock = threading.Lock()
        self.start = time.monotonic()

    def __rich__(self) -> Table:
        with self.lock:
            return self.table(list(self.rows.values()))

    def screenful(self) -> Table:
        """Return what fits on the screen: of more, first what runs, then what went wrong, the rest in sum."""
        with self.lock:
            rows = list(self.rows.values())
            room = max(self.console.height - FRAME, 2)
            if len(rows) <= room:
                return self.table(rows, one_line=True)
            # Of equals the order stays.
            rows.sort(key=lambda row: RANKS.index(row.word) if row.word in RANKS else len(RANKS))
            counts = collections.Counter(row.word for row in rows[room - 1 :])
            rest = ", ".join(f"{number} {'wait' if word == WAITS else word}" for word, number in counts.items())
            table = self.table(rows[: room - 1], one_line=True)
            table.add_row(f"{sum(counts.values())} more", "", "", "", "", rest)
            return table

    def table(self, rows: list[Row], one_line: bool = False) -> Table:
        now = time.monotonic()
        done = sum(bool(row.verdict) for row in self.rows.values())
        table = Table(title=f"{done} of {len(self.rows)} cells, {now - self.start:.0f} s", min_width=70)
        for column in ("distribution", "profile", "step", "time", "result", "in figures"):
            # The figures give way to the others, and are cut.
            kept = one_line and column != "in figures"
            table.add_column(column, justify="right" if column == "time" else "left", no_wrap=kept)
        for row in rows:
            running = row.started is not None
            seconds = row.seconds + (now - row.started if row.started is not None else 0)
            word = "" if row.word == WAITS else row.word
            table.add_row(
                row.name,
                row.profile,
                f"{row.step} {row.progress}" if running or not row.verdict else "",
                f"{seconds:.0f} s" if seconds else "",
                f"[{COLOURS.get(word, '')}]{word}[/]" if word else "",
                Text(row.figures, no_wrap=one_line, overflow="ellipsis"),
            )
        return table

    def live(self) -> AbstractContextManager[object]:
        if self.console.is_terminal:
            # What follows it is the whole table.
            return Live(console=self.console, refresh_per_second=4, get_renderable=self.screenful, transient=True)
        return nullcontext()

    def say(self, key: tuple[str, str], text: str) -> None:
        if not self.console.is_terminal:
            clock = f"{time.monotonic() - self.start:6.1f} s"
            self.console.print(f"{clock}  {key[0]}, {key[1]}: {text}", markup=False, highlight=False, soft_wrap=True)

    def begin(self, key: tuple[str, str]) -> None:
        with self.lock:
            row = self.rows[key]
            row.started, row.verdict = time.monotonic(), ""

    def step(self, key: tuple[str, str], step: str) -> None:
        with self.lock:
            row = self.rows[key]
            changed = row.step != step
            row.step, row.progress, row.since = step, "", time.monotonic()
        if changed:
            self.say(key, step)

    def progress(self, key: tuple[str, str], progress: str) -> None:
        with self.lock:
            self.rows[key].progress = progress

    def end(self, key: tuple[str, str], verdict: str, figures: str) -> float:
        """Say how a cell came out, or with no verdict that it waits; return the seconds that it took since it began."""
        with self.lock:
            row = self.rows[key]
            took = time.monotonic() - (row.started or time.monotonic())
            row.started, row.seconds, row.verdict, row.figures = None, row.seconds + took, verdict, figures
            row.step, row.progress = WAITS, ""
        self.say(key, f"{verdict or WAITS} after {took:.1f} s: {figures}")
        return took
