"""Run the harness on this machine: what its limits are, how its queues behave, how fast they are. No Docker needed.

Writes report.json, which has everything, and index.html, which shows it, to one folder. Its sibling is matrix.py, which
does the same in containers; `merge A.json B.json` makes one report of several of either.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, TextIO

import describing
import report
import results
import trying
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
# What --skip takes, and the name of each in the report.
JOBS = {"limits": "limits", "behaviour": "tests", "benchmarks": "bench"}
STEPS = tuple(JOBS)
LOG = "logs/here.log"
# Characters of the log that a failure shows in the page.
TAIL = 60_000
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Progress:
    """Says what is being done: a line that changes where someone watches, a line a step where nobody does."""

    def __init__(self, console: Console, steps: int) -> None:
        self.console = console
        self.steps = steps
        self.done = 0

    def step(self, title: str) -> Step:
        self.done += 1
        return Step(self.console, f"[{self.done}/{self.steps}] {title}")


class Step:
    """One step: `with progress.step("limits") as step: step.tell("...")`."""

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self.outcome = "done"

    def __enter__(self) -> Step:
        self.start = time.monotonic()
        if self.console.is_terminal:
            self.status = self.console.status(self.title)
            self.status.start()
        else:
            self.console.print(self.title, markup=False)
        return self

    def tell(self, text: str) -> None:
        if self.console.is_terminal:
            self.status.update(f"{self.title}: {text}"[: self.console.width - 4])

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        if self.console.is_terminal:
            self.status.stop()
        outcome = self.outcome if kind is None else "interrupted" if kind is KeyboardInterrupt else "failed"
        seconds = time.monotonic() - self.start
        self.console.print(f"{self.title}: {outcome}, {seconds:.1f} s", markup=False, highlight=False)


def find_limits(step: Step) -> dict[str, Any]:
    findings = []
    for probe in trying.LIMITS:
        step.tell(probe.__name__.replace("_", " "))
        findings.append(probe().as_dict())
    failed = [finding["limit"] for finding in findings if finding["verdict"] == "failed"]
    step.outcome = f"predicted and found differ: {', '.join(failed)}" if failed else "predicted and found agree"
    return results.limits_of(findings)


def run_pytest(step: Step, log: TextIO, folder: str, *arguments: str) -> tuple[int, str]:
    """Run pytest on a folder, telling each test as it ends; return its exit status and its output."""
    # The script, not `python -m pytest`: that one would put the source tree on the path.
    script = Path(sys.executable).with_name("pytest")
    command = [str(script), folder, "--verbose", "--color=no", "-p", "no:cacheprovider", *arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            log.write(line)
            if "::" in line:
                step.tell(line.strip())
        status = process.wait()
    return status, "".join(lines)


def check_behaviour(step: Step, log: TextIO) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "junit.xml")
        status = run_pytest(step, log, "tests", f"--junitxml={junit}")[0]
        found = results.tests_of_python(PYTHON, junit if junit.exists() else None, status)
    step.outcome = ", ".join(f"{found[key]} {key}" for key in results.COUNTS)
    return results.tests_of([found])


def run_benchmarks(step: Step, log: TextIO, rounds: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "benchmark.json")
        options = [f"--benchmark-json={saved}", *rounds, "-rs"]
        status, output = run_pytest(step, log, "bench", *options)
        found = results.bench_of(saved if saved.exists() else None, status, output)
    left_out = f", left out: {'; '.join(found['left_out'])}" if found["left_out"] else ""
    step.outcome = f"{len(found['rows'])} measured{left_out}"
    return found


def summary(result: dict[str, Any]) -> Table:
    """Return what the terminal shows at the end."""
    (cell,) = result["cells"]
    table = Table(title=f"posix_ipc_swig {result['version']} on {cell['system']['distribution']}", min_width=60)
    table.add_column("what")
    table.add_column("result")
    table.add_column("in figures")
    colours = {"passed": "green", "failed": "red"}

    def add(what: str, verdict: str, figures: str) -> None:
        table.add_row(what, f"[{colours.get(verdict, 'yellow')}]{verdict}[/]", figures)

    jobs = cell["jobs"]
    for finding in jobs.get("limits", {}).get("findings", ()):
        predicted, found = ("?" if finding[key] is None else f"{finding[key]:,}" for key in ("predicted", "found"))
        add(finding["limit"], finding["verdict"], f"predicted {predicted}, found {found}")
    table.add_section()
    if "tests" in jobs:
        add("behaviour", jobs["tests"]["verdict"], report.job_figures("tests", jobs["tests"]))
    table.add_section()
    for row in jobs.get("bench", {}).get("rows", ()):
        if row["subject"] == "posix_ipc_swig" and "ratio_to_floor" in row:
            peer = row.get("ratio_to_posix_ipc")
            figures = f"{row['median_ns']:,.0f} ns, {row['ratio_to_floor']:.2f} of C"
            add(row["case"], "passed", figures + (f", {peer:.2f} of posix_ipc" if peer else ""))
    for name in STEPS:
        if JOBS[name] not in jobs:
            add(name, "not run", f"--skip {name}")
    return table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 when everything that ran has passed, 1 when something failed, 130 after Ctrl-C",
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "report", metavar="FOLDER", help="where the report goes (default: report)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer benchmarks and rounds: figures for a look, not for a claim"
    )
    parser.add_argument(
        "--skip", action="append", choices=STEPS, default=[], help="leave a step out; the report says so (repeatable)"
    )
    return parser.parse_args()


def run(arguments: argparse.Namespace, console: Console, log: TextIO) -> dict[str, Any]:
    import posix_ipc_swig

    started = datetime.datetime.now(datetime.timezone.utc)
    machine = platform.uname()
    title = describing.distribution()
    cell: dict[str, Any] = {
        "distro": "here",
        "profile": "as it is",
        "verdict": "not run",
        "planned": [JOBS[name] for name in STEPS if name not in arguments.skip],
        "started": started.isoformat(timespec="seconds"),
        "seconds": 0.0,
        "system": describing.describe_system(),
        "asked": {"sysctls": {}, "ulimits": {}, "user": "", "cap_drop": [], "cap_add": [], "security_opt": []},
        "given": describing.describe_limits(),
        "jobs": {},
        "log": LOG,
    }
    result: dict[str, Any] = {
        "schema_version": results.SCHEMA_VERSION,
        "version": posix_ipc_swig.VERSION,
        "started": cell["started"],
        "seconds": 0.0,
        "quick": arguments.quick,
        **describing.describe_commit(),
        "machines": [
            {
                "engine": None,
                "kernel": f"{machine.system} {machine.release}",
                "machine": machine.machine,
                "system": title,
                "processors": os.cpu_count(),
            }
        ],
        "distros": {"here": {"title": title, "base": "this machine", "libc": cell["system"]["c_library"]}},
        "profiles": {"as it is": {"title": "the limits that this machine has"}},
        "cells": [cell],
    }
    rounds = results.BENCH_QUICK if arguments.quick else results.BENCH_FULL
    work: dict[str, Callable[[Step], dict[str, Any]]] = {
        "limits": find_limits,
        "behaviour": lambda step: check_behaviour(step, log),
        "benchmarks": lambda step: run_benchmarks(step, log, rounds),
    }
    progress = Progress(console, len(STEPS))
    for name in STEPS:
        if name in arguments.skip:
            progress.done += 1
            continue
        with progress.step(name) as step:
            cell["jobs"][JOBS[name]] = work[name](step)
    seconds = round((datetime.datetime.now(datetime.timezone.utc) - started).total_seconds(), 1)
    cell["seconds"] = result["seconds"] = seconds
    return results.finish(result)


def main() -> int:
    if sys.argv[1:2] == ["merge"]:
        return report.main(sys.argv[1:])
    arguments = parse_arguments()
    console = Console()
    log_file = arguments.output / LOG
    log_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(log_file, "w", buffering=1) as log:
            result = run(arguments, console, log)
    except KeyboardInterrupt:
        console.print("Stopped. Every queue made here is removed; no report was written.", markup=False)
        return 130
    if result["verdict"] == "failed":
        result["cells"][0]["log_tail"] = log_file.read_text(errors="replace")[-TAIL:]
    page = report.write(result, arguments.output)
    console.print(summary(result))
    if result["verdict"] == "failed":
        console.print(log_file.read_text(errors="replace")[-4000:], markup=False, highlight=False)
    console.print(
        f"{result['verdict']} in {result['seconds']} s; the report: {page}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0 if result["verdict"] == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
