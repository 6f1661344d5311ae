"""Run the harness on this machine: what its limits are, how its queues behave, how fast they are. No Docker needed.

Writes report.json, which has everything, and index.html, which shows it, to one folder.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Iterator

import report
import trying
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("limits", "behaviour", "benchmarks")
SCHEMA_VERSION = 1


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


def output_of(*command: str) -> str | None:
    """Return what a command prints, or None where it cannot run."""
    with suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return None


def processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def distribution() -> str:
    # platform.freedesktop_os_release() needs Python 3.10.
    with suppress(OSError), open("/etc/os-release") as file:
        for line in file:
            if line.startswith("PRETTY_NAME="):
                return line.split("=", 1)[1].strip().strip('"')
    return "unknown"


def c_library() -> str:
    with suppress(ValueError, OSError):
        version = os.confstr("CS_GNU_LIBC_VERSION")
        if version:
            return version
    return "musl" if list(Path("/lib").glob("ld-musl-*")) else "unknown"


def describe_system() -> dict[str, Any]:
    compiler = (output_of("cc", "--version") or "none").splitlines()[0]
    uname = platform.uname()
    return {
        "distribution": distribution(),
        "kernel": f"{uname.system} {uname.release}",
        "machine": uname.machine,
        "processor": f"{processor()}, {os.cpu_count()} logical",
        "c_library": c_library(),
        "compiler": compiler,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
        "cap_sys_resource": trying.may_exceed(),
    }


def describe_commit() -> dict[str, Any]:
    commit = output_of("git", "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "changed": None}
    return {"commit": commit, "changed": bool(output_of("git", "status", "--porcelain"))}


def find_limits(step: Step) -> dict[str, Any]:
    findings = []
    for probe in trying.LIMITS:
        step.tell(probe.__name__.replace("_", " "))
        findings.append(probe().as_dict())
    failed = [finding["limit"] for finding in findings if finding["verdict"] == "failed"]
    step.outcome = f"predicted and found differ: {', '.join(failed)}" if failed else "predicted and found agree"
    return {"verdict": "failed" if failed else "passed", "findings": findings}


def run_pytest(step: Step, folder: str, *arguments: str) -> tuple[int, str]:
    """Run pytest on a folder, telling each test as it ends; return its exit status and its output."""
    # The script, not `python -m pytest`: that one would put the source tree on the path.
    script = Path(sys.executable).with_name("pytest")
    command = [str(script), folder, "--verbose", "--color=no", "-p", "no:cacheprovider", *arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "::" in line:
                step.tell(line.strip())
        status = process.wait()
    return status, "".join(lines)


def topics_of(junit: Path) -> Iterator[dict[str, Any]]:
    """Yield a topic, a test file, at a time: counts, seconds, the failures' texts, the reasons of what was skipped."""
    topics: dict[str, dict[str, Any]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        parts = case.get("classname", "").split(".")
        name = next((part for part in reversed(parts) if part.startswith("test_")), parts[-1])
        topic = topics.setdefault(
            name.replace("test_", "", 1),
            {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "failures": [], "skips": {}},
        )
        topic["seconds"] += float(case.get("time", "0"))
        problems = case.findall("failure") + case.findall("error")
        skip = case.find("skipped")
        if problems:
            topic["failed"] += 1
            for problem in problems:
                topic["failures"].append({"test": case.get("name"), "text": problem.text or problem.get("message")})
        elif skip is not None:
            topic["skipped"] += 1
            reason = skip.get("message", "no reason given")
            topic["skips"][reason] = topic["skips"].get(reason, 0) + 1
        else:
            topic["passed"] += 1
    for name in sorted(topics):
        verdict = "failed" if topics[name]["failed"] else "passed" if topics[name]["passed"] else "skipped"
        yield {"topic": name.replace("_", " "), "verdict": verdict, **topics[name]}


def check_behaviour(step: Step) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "junit.xml")
        status, output = run_pytest(step, "tests", f"--junitxml={junit}")
        topics = list(topics_of(junit)) if junit.exists() else []
    counts = {key: sum(topic[key] for topic in topics) for key in ("passed", "failed", "skipped")}
    step.outcome = ", ".join(f"{number} {key}" for key, number in counts.items())
    result = {"verdict": "passed" if status == 0 else "failed", **counts, "topics": topics}
    if status != 0:
        result["output"] = output
    return result


def run_benchmarks(step: Step, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "benchmark.json")
        status, output = run_pytest(step, "bench", f"--benchmark-json={saved}", f"--rounds={rounds}", "-rs")
        measured = json.loads(saved.read_text())["benchmarks"] if saved.exists() else []
    rows = [
        {
            "case": benchmark["group"],
            **benchmark["extra_info"],
            **{f"{key}_ns": round(benchmark["stats"][key] * 1e9, 1) for key in ("min", "q1", "median", "q3", "max")},
            "rounds": benchmark["stats"]["rounds"],
        }
        for benchmark in measured
    ]
    skips = sorted({line.split(": ", 1)[1] for line in output.splitlines() if line.startswith("SKIPPED ")})
    step.outcome = f"{len(rows)} measured" + (f", left out: {'; '.join(skips)}" if skips else "")
    result = {"verdict": "passed" if status == 0 else "failed", "rows": rows, "left_out": skips}
    if status != 0:
        result["output"] = output
    return result


def summary(result: dict[str, Any]) -> Table:
    """Return what the terminal shows at the end."""
    table = Table(title=f"posix_ipc_swig {result['version']} on {result['system']['distribution']}", min_width=60)
    table.add_column("what")
    table.add_column("result")
    table.add_column("in figures")
    colours = {"passed": "green", "failed": "red", "not run": "yellow"}

    def add(what: str, verdict: str, figures: str) -> None:
        table.add_row(what, f"[{colours.get(verdict, 'yellow')}]{verdict}[/]", figures)

    for finding in result["limits"].get("findings", ()):
        predicted, found = ("?" if finding[key] is None else f"{finding[key]:,}" for key in ("predicted", "found"))
        add(finding["limit"], finding["verdict"], f"predicted {predicted}, found {found}")
    table.add_section()
    behaviour = result["behaviour"]
    if behaviour["verdict"] == "not run":
        add("behaviour", "not run", behaviour["reason"])
    else:
        add(
            "behaviour",
            behaviour["verdict"],
            f"{behaviour['passed']} passed, {behaviour['failed']} failed, {behaviour['skipped']} skipped",
        )
    table.add_section()
    for row in result["benchmarks"].get("rows", ()):
        if row["subject"] == "posix_ipc_swig":
            peer = row.get("ratio_to_posix_ipc")
            figures = f"{row['median_ns']:,.0f} ns a pair, {row['ratio_to_floor']:.2f} of C"
            add(row["case"], "passed", figures + (f", {peer:.2f} of posix_ipc" if peer else ""))
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
        "--quick", action="store_true", help="20 rounds a benchmark instead of 200: figures for a look, not for a claim"
    )
    parser.add_argument(
        "--skip", action="append", choices=STEPS, default=[], help="leave a step out; the report says so (repeatable)"
    )
    return parser.parse_args()


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    import posix_ipc_swig

    started = datetime.datetime.now(datetime.timezone.utc)
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "version": posix_ipc_swig.VERSION,
        "started": started.isoformat(timespec="seconds"),
        "quick": arguments.quick,
        **describe_commit(),
        "system": describe_system(),
    }
    work: dict[str, Callable[[Step], dict[str, Any]]] = {
        "limits": find_limits,
        "behaviour": check_behaviour,
        "benchmarks": lambda step: run_benchmarks(step, 20 if arguments.quick else 200),
    }
    progress = Progress(console, len(STEPS))
    for name in STEPS:
        if name in arguments.skip:
            result[name] = {"verdict": "not run", "reason": f"--skip {name}"}
            progress.done += 1
            continue
        with progress.step(name) as step:
            result[name] = work[name](step)
    verdicts = [result[name]["verdict"] for name in STEPS]
    result["verdict"] = "failed" if "failed" in verdicts else "passed"
    result["seconds"] = round((datetime.datetime.now(datetime.timezone.utc) - started).total_seconds(), 1)
    return result


def main() -> int:
    arguments = parse_arguments()
    console = Console()
    try:
        result = run(arguments, console)
    except KeyboardInterrupt:
        console.print("Stopped. Every queue made here is removed; no report was written.", markup=False)
        return 130
    arguments.output.mkdir(parents=True, exist_ok=True)
    saved, page = arguments.output / "report.json", arguments.output / "index.html"
    saved.write_text(json.dumps(result, indent=2) + "\n")
    page.write_text(report.render(result))
    console.print(summary(result))
    for name in STEPS:
        if "output" in result[name]:
            console.print(result[name]["output"][-4000:], markup=False, highlight=False)
    console.print(
        f"{result['verdict']} in {result['seconds']} s; the report: {page}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0 if result["verdict"] == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
