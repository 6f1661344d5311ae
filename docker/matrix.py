"""Run the tests, the limits and the benchmarks in Docker: every distribution under every limit profile, in one report.

Writes report.json, index.html and logs/ to one folder.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, TextIO

import describing
import images
import report
import results
import tables
from board import Board
from engine import Container, Engine, EngineError, Stopped
from images import Images, Source, environment_of
from rich.console import Console
from tables import Cell, Profile, TableError

ROOT = Path(__file__).resolve().parent.parent
# A uid a cell, as RLIMIT_MSGQUEUE counts what a uid holds in all containers of the machine.
FIRST_UID, LAST_UID = 20_000, 59_000
TAIL = 300
NOT_BEGUN, NOT_ENDED, INTERRUPTED = "it was not begun", "it did not end", "it was interrupted"
PERCENT = re.compile(r"\[ *(\d+%)\]")


@dataclass(frozen=True)
class Unit:
    """What is scheduled: some jobs of one cell, in one container."""

    cell: Cell
    jobs: tuple[str, ...]

    @property
    def root(self) -> bool:
        return self.cell.profile.user == "root"

    @property
    def distros(self) -> set[str]:
        return {self.cell.distro.name} | ({self.cell.other.name} if self.cell.other else set())


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def asked_of(profile: Profile) -> dict[str, Any]:
    return {
        "sysctls": profile.sysctls,
        "ulimits": {**profile.ulimits, **profile.raise_ulimits},
        "user": profile.user,
        "cap_drop": list(profile.cap_drop),
        "cap_add": list(profile.cap_add),
        "security_opt": list(profile.security_opt),
    }


def last_json(lines: list[str]) -> Any:
    """Return the JSON that a program printed last."""
    for line in reversed(lines):
        if line[:1] in "[{":
            return json.loads(line)
    raise EngineError("the step printed no result: " + " / ".join(lines[-3:]))


class Runner:
    """Runs a plan on an engine, and has the report of it."""

    def __init__(self, arguments: argparse.Namespace, cells: list[Cell], console: Console) -> None:
        self.arguments = arguments
        self.cells = cells
        self.console = console
        self.engine = Engine(secrets.token_hex(6))
        source = Source(arguments.ca_bundle, arguments.index_url, arguments.wheelhouse, arguments.no_index)
        self.images = Images(self.engine, source, arguments.rebuild)
        self.board = Board(console, [cell.key for cell in cells])
        self.output: Path = arguments.output
        self.logs = self.output / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        first = random.randrange(FIRST_UID, LAST_UID)
        self.uids = {cell.key: first + number for number, cell in enumerate(cells)}
        self.changed = threading.Condition()  # what runs and which images are being made
        self.being_made: set[str] = set()
        self.processes = 1  # that one cell's tests run in
        self.broken_images: dict[str, EngineError] = {}
        self.tags: dict[str, str] = {}
        self.began = time.monotonic()
        self.report = self.empty_report()
        self.found = {cell.key: self.empty_cell(cell) for cell in cells}
        self.report["cells"] = list(self.found.values())

    def empty_report(self) -> dict[str, Any]:
        version: dict[str, str] = {}
        exec(ROOT.joinpath("posix_ipc_swig", "_version.py").read_text(), version)
        distros = {cell.distro.name: cell.distro for cell in self.cells}
        distros.update({cell.other.name: cell.other for cell in self.cells if cell.other})
        return {
            "schema_version": results.SCHEMA_VERSION,
            "version": version["VERSION"],
            "started": now(),
            "seconds": 0.0,
            "quick": self.arguments.quick,
            **describing.describe_commit(),
            "checkout": images.state(self.images.files, self.arguments.pytest),
            "machines": [self.engine.describe()],
            "distros": {
                name: {"title": distro.title, "base": distro.base, "libc": distro.libc}
                for name, distro in distros.items()
            },
            "profiles": {cell.profile.name: {"title": cell.profile.title} for cell in self.cells},
        }

    def empty_cell(self, cell: Cell) -> dict[str, Any]:
        found: dict[str, Any] = {"distro": cell.distro.name, "profile": cell.profile.name}
        if cell.other:
            found["other"] = cell.other.name
        return {
            **found,
            "verdict": "not run",
            "reason": NOT_BEGUN,
            "planned": list(cell.jobs),
            "started": now(),
            "seconds": 0.0,
            "system": {},
            "asked": asked_of(cell.profile),
            "jobs": {},
            "log": f"logs/{cell.file_name}.log",
        }

    def units(self) -> list[Unit]:
        """Return what runs side by side, in order: benchmarks are not among it."""
        rest = [Unit(cell, tuple(job for job in cell.jobs if job != "bench")) for cell in self.cells]
        return [unit for unit in rest if unit.jobs]

    def benches(self) -> list[Unit]:
        return [Unit(cell, ("bench",)) for cell in self.cells if "bench" in cell.jobs]

    def run(self) -> None:
        units = self.units()
        # Tests wait for a third of their time, so a processor has two of them to do.
        jobs = self.arguments.jobs or 2 * self.engine.info["NCPU"]
        # Several cells at once are cheaper than several processes a cell, each of which collects all tests.
        # All processes of a cell share the bytes of nine default queues, so there are two at most.
        self.processes = max(1, min(2, 2 * self.engine.info["NCPU"] // min(jobs, len(units) or 1)))
        # The longest first, so that the end is not one cell's.
        self.work(sorted(units, key=lambda unit: -len(unit.cell.pythons)), jobs)
        self.work(self.benches(), 1)

    def work(self, waiting: list[Unit], workers: int) -> None:
        root_runs = False

        def take() -> Unit | None:
            # Two cells of root never at once: they share a uid, and so a byte limit. None beside the making of its own
            # image: that of another distribution is made meanwhile.
            nonlocal root_runs
            with self.changed:
                while waiting:
                    for unit in waiting:
                        if not (unit.root and root_runs) and not unit.distros & self.being_made:
                            waiting.remove(unit)
                            self.being_made |= unit.distros - set(self.tags) - set(self.broken_images)
                            root_runs = root_runs or unit.root
                            return unit
                    self.changed.wait()
                return None

        def give_back(unit: Unit) -> None:
            nonlocal root_runs
            with self.changed:
                root_runs = root_runs and not unit.root
                self.being_made -= unit.distros
                self.changed.notify_all()

        def loop() -> None:
            while True:
                unit = take()
                if unit is None or self.engine.stopping.is_set():
                    return
                try:
                    self.run_unit(unit)
                finally:
                    give_back(unit)

        # Daemons: after Ctrl-C, one that waits for a build must not keep the process.
        threads = [threading.Thread(target=loop, daemon=True) for _ in range(min(workers, len(waiting)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_unit(self, unit: Unit) -> None:
        """Run one unit; whatever goes wrong is its cell's, and stops no other."""
        cell, found = unit.cell, self.found[unit.cell.key]
        self.board.begin(cell.key)
        # An earlier unit's failure is no less one because this one succeeds.
        earlier = found.get("reason")
        if earlier == NOT_BEGUN:
            earlier = None
            found["started"] = now()
        found["reason"] = earlier or NOT_ENDED

        def note(reason: str, verdict: str) -> None:
            both = reason if earlier is None else f"{earlier}; {reason}"
            found.update(reason=both, verdict="failed" if found["verdict"] == "failed" else verdict)

        with open(self.output / found["log"], "a", buffering=1) as log:
            try:
                if cell.other:
                    self.run_interop(cell, found, log)
                else:
                    self.run_jobs(unit, found, log)
                if earlier is None:
                    del found["reason"]
            except Stopped:
                note(INTERRUPTED, "not run")
            except EngineError as error:
                note(str(error), "failed" if found["system"] else "not run")
                print(error, file=log)
            except Exception as error:  # a defect of the runner is a failure of this cell alone
                note(f"{type(error).__name__}: {error}", "failed")
                print(found["reason"], file=log)
        results.finish(self.report)
        figures = report.figures_of(found)
        waits = "reason" not in found and found["verdict"] == "not run"  # for its benchmarks
        verdict = "" if waits else found["verdict"]
        found["seconds"] = round(found["seconds"] + self.board.end(cell.key, verdict, figures), 1)
        if found["verdict"] != "passed":
            lines = (self.output / found["log"]).read_text(errors="replace").splitlines()
            found["log_tail"] = "\n".join(lines[-TAIL:])
        else:
            found.pop("log_tail", None)

    def ready_image(self, cell: Cell, distro: tables.Distro) -> str:
        """Return a distribution's image; the first cell that needs it makes it, and runs beside no other that does."""
        try:
            if distro.name in self.broken_images:
                raise self.broken_images[distro.name]
            if distro.name not in self.tags:
                with open(self.logs / f"image-{distro.name}.log", "w", buffering=1) as log:
                    try:
                        self.tags[distro.name] = self.images.ready(
                            distro,
                            lambda step: self.board.step(cell.key, step),
                            lambda line: print(line, file=log),
                        )
                    except EngineError as error:
                        self.broken_images[distro.name] = EngineError(
                            f"{error} (the log: logs/image-{distro.name}.log)"
                        )
                        raise self.broken_images[distro.name] from None
            return self.tags[distro.name]
        finally:
            with self.changed:
                self.being_made.discard(distro.name)
                self.changed.notify_all()

    def user_of(self, cell: Cell) -> str:
        return "0:0" if cell.profile.user == "root" else f"{self.uids[cell.key]}:{self.uids[cell.key]}"

    def tell(self, cell: Cell, log: TextIO, lines: list[str]) -> Callable[[str], None]:
        def on_line(line: str) -> None:
            print(line, file=log)
            lines.append(line)
            percent = PERCENT.search(line)
            if percent:
                self.board.progress(cell.key, percent[1])

        return on_line

    def step(self, cell: Cell, container: Container, log: TextIO, name: str, *command: str) -> tuple[int, list[str]]:
        """Run one step in a cell's container; return its exit status and what it printed."""
        self.board.step(cell.key, name)
        print(f"\n== {name}: {' '.join(command)}", file=log)
        lines: list[str] = []
        start = time.monotonic()
        status = container.run(list(command), self.tell(cell, log, lines), self.user_of(cell))
        print(f"== {name}: exit status {status} after {time.monotonic() - start:.1f} s", file=log)
        return status, lines

    def python(self, version: str) -> str:
        return f"{images.WORK}/.tox/{environment_of(version)}/bin/python"

    def start(self, cell: Cell, image: str, log: TextIO, ipc_of: Container | None = None) -> Container:
        self.board.step(cell.key, "start")
        container = self.engine.start(image, cell.profile, self.user_of(cell), ipc_of)
        print(f"== {image} as user {self.user_of(cell)} under {cell.profile.name}", file=log)
        if cell.profile.raise_ulimits and not container.raised:
            print(f"== the engine may not raise {cell.profile.raise_ulimits}: its own limits stay", file=log)
        return container

    def describe(self, cell: Cell, container: Container, found: dict[str, Any], log: TextIO) -> None:
        """Note what the cell's system is, and that it has the limits that were asked for."""
        command = [self.python(cell.pythons[0]), "docker/describing.py"]
        status, lines = self.step(cell, container, log, "describe", *command)
        if status != 0:
            raise EngineError(f"the system could not be described: exit status {status}")
        found.update(last_json(lines), raised=container.raised)
        given = found["given"]
        asked = {**cell.profile.sysctls, **{f"RLIMIT {name}": value for name, value in cell.profile.ulimits.items()}}
        has = {**given["sysctls"], "RLIMIT msgqueue": given["msgqueue"][0]}
        wrong = [
            f"{name} is {has[name]}, not {value}" for name, value in asked.items() if has.get(name, value) != value
        ]
        if wrong:
            raise EngineError(f"the engine did not set the profile's limits: {'; '.join(wrong)}")

    def run_jobs(self, unit: Unit, found: dict[str, Any], log: TextIO) -> None:
        cell = unit.cell
        container = self.start(cell, self.ready_image(cell, cell.distro), log)
        try:
            self.describe(cell, container, found, log)
            if "limits" in unit.jobs:
                command = [self.python(cell.pythons[0]), "docker/trying.py"]
                status, lines = self.step(cell, container, log, "limits", *command)
                if status != 0:
                    found["jobs"]["limits"] = {"verdict": "failed", "findings": [], "output": "\n".join(lines[-TAIL:])}
                else:
                    found["jobs"]["limits"] = results.limits_of(last_json(lines))
            if "tests" in unit.jobs:
                pythons = [self.test(cell, container, version, log) for version in cell.pythons]
                found["jobs"]["tests"] = results.tests_of(pythons)
            if "bench" in unit.jobs:
                found["jobs"]["bench"] = self.bench(cell, container, log)
        finally:
            container.remove()

    def test(self, cell: Cell, container: Container, version: str, log: TextIO) -> dict[str, Any]:
        name = environment_of(version)
        junit = f"{images.WORK}/{name}.xml"  # not in /tmp, which is memory that the engine does not read
        workers = "0" if cell.profile.serial or self.processes == 1 else str(self.processes)
        options = ["-q", "-n", workers, "-p", "no:cacheprovider", f"--junitxml={junit}", *self.arguments.pytest]
        command = ["tox", "run", "--skip-pkg-install", "-e", name, "--", *options]
        status, _ = self.step(cell, container, log, f"tests {version}", *command)
        saved = container.get(junit)
        if not saved:
            return results.tests_of_python(version, None, status or 1)
        kept = self.output / "junit" / f"{cell.file_name}-{name}.xml"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(saved[f"{name}.xml"])
        return {**results.tests_of_python(version, kept, status), "junit": str(kept.relative_to(self.output))}

    def bench(self, cell: Cell, container: Container, log: TextIO) -> dict[str, Any]:
        rounds = results.BENCH_QUICK if self.arguments.quick else results.BENCH_FULL
        options = ["-rs", f"--benchmark-json={images.WORK}/bench.json", *rounds]
        command = [f"{images.WORK}/.tox/{images.BENCH_ENV}/bin/pytest", "bench", "-p", "no:cacheprovider", *options]
        status, lines = self.step(cell, container, log, "bench", *command)
        saved = container.get(f"{images.WORK}/bench.json")
        if not saved:
            return results.bench_of(None, status or 1, "\n".join(lines))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bench.json")
            path.write_bytes(saved["bench.json"])
            return results.bench_of(path, status, "\n".join(lines))

    def run_interop(self, cell: Cell, found: dict[str, Any], log: TextIO) -> None:
        """Let two containers of different distributions talk in one IPC namespace."""
        assert cell.other is not None
        ready = [self.ready_image(cell, distro) for distro in (cell.distro, cell.other)]
        first = self.start(cell, ready[0], log)
        second = None
        try:
            second = self.start(cell, ready[1], log, first)
            self.describe(cell, first, found, log)
            name = f"/interop-{secrets.token_hex(6)}"
            said: dict[str, tuple[int, list[str]]] = {}

            def talk(side: str, container: Container, version: str) -> None:
                lines: list[str] = []
                command = [self.python(version), "docker/interop.py", side, "--name", name]
                user = self.user_of(cell)
                status = container.run(command, lambda line: lines.append(line), user, limit=300)
                said[side] = status, lines

            self.board.step(cell.key, "interop")
            sides = [("first", first, cell.distro.pythons[0]), ("second", second, cell.other.pythons[0])]
            threads = [threading.Thread(target=talk, args=side, daemon=True) for side in sides]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for side, _, version in sides:
                status, lines = said.get(side, (1, []))
                print(f"\n== {side}, Python {version}: exit status {status}", *lines, sep="\n", file=log)
            if self.engine.stopping.is_set():
                raise Stopped
            passed = all(said.get(side, (1, []))[0] == 0 for side, _, _ in sides)
            found["jobs"]["interop"] = {
                "verdict": "passed" if passed else "failed",
                "sides": [last_json(said[side][1]) for side, _, _ in sides] if passed else [],
            }
        finally:
            for container in (second, first):
                if container:
                    container.remove()

    def finish(self) -> dict[str, Any]:
        self.report["seconds"] = round(time.monotonic() - self.began, 1)
        return results.finish(self.report)


def left_to_run(cells: list[Cell], before: dict[str, Any]) -> list[Cell]:
    """Return the cells without the jobs, and the Pythons of tests, that have passed before."""
    passed = {results.key_of(cell): cell for cell in before["cells"]}
    left = []
    for cell in cells:
        old = passed.get((cell.distro.name, cell.other.name if cell.other else None, cell.profile.name))
        # What went wrong in a cell that has all its jobs is of none of them.
        jobs = old["jobs"] if old and ("reason" not in old or results.absent(old)) else {}
        pythons = {one["version"] for one in jobs.get("tests", {}).get("pythons", ()) if one["verdict"] == "passed"}
        again = tuple(
            job
            for job in cell.jobs
            if (not set(cell.pythons) <= pythons if job == "tests" else jobs.get(job, {}).get("verdict") != "passed")
        )
        versions = tuple(version for version in cell.pythons if version not in pythons) if "tests" in again else ()
        if again:
            left.append(Cell(cell.distro, cell.profile, versions or cell.pythons, again, cell.other))
    return left


def github_plan(cells: list[Cell]) -> str:
    """Return the cells as GitHub Actions' job matrix."""
    include = []
    for cell in cells:
        names = [cell.distro.name] + ([cell.other.name] if cell.other else [])
        arguments = [f"--distro {name}" for name in names]
        arguments += [f"--profile {cell.profile.name}", *(f"--job {job}" for job in cell.jobs)]
        if not cell.other and cell.pythons != cell.distro.pythons:
            arguments += [f"--python {version}" for version in cell.pythons]
        include.append({"name": ", ".join(cell.key), "file": cell.file_name, "arguments": " ".join(arguments)})
    return json.dumps({"include": include})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 when every cell passed, 1 when one did not, 2 when nothing could run, 130 after Ctrl-C",
    )
    add = parser.add_argument
    choose = parser.add_argument_group("what to run: each repeatable, globs allowed; everything where nothing is said")
    choose.add_argument("--distro", action="append", default=[], metavar="NAME", help="rows of docker/distros.toml")
    choose.add_argument("--profile", action="append", default=[], metavar="NAME", help="rows of docker/profiles.toml")
    choose.add_argument("--python", action="append", default=[], metavar="3.N")
    choose.add_argument("--job", action="append", default=[], metavar="JOB", help=" | ".join(tables.JOBS))
    add("--list", action="store_true", help="show the plan and run nothing")
    add("--plan", choices=["github"], help="print the plan as GitHub Actions' job matrix and run nothing")
    add("--resume", action="store_true", help="run what has not passed yet, by the report in the output folder")
    add("--jobs", type=int, metavar="N", help="cells at once (default: two a processor); benchmarks run alone")
    add("--quick", action="store_true", help="fewer benchmarks and rounds: for a look, not for a claim")
    add(
        "--output", type=Path, default=ROOT / "report", metavar="FOLDER", help="where the report goes (default: report)"
    )
    add("--no-record", action="store_true", help="leave docker/results.json and the README's table as they are")
    add(
        "--pytest",
        action="append",
        default=[],
        metavar="OPTION",
        help="hand an option to pytest, as --pytest=-x; implies --no-record, as it may leave tests out",
    )
    images_group = parser.add_argument_group("images")
    bundle = os.environ.get("SSL_CERT_FILE")
    images_group.add_argument(
        "--ca-bundle",
        type=Path,
        default=Path(bundle) if bundle else None,
        metavar="FILE",
        help="whom pip and the package managers trust, in PEM (default: SSL_CERT_FILE)",
    )
    images_group.add_argument("--index-url", default="", metavar="URL", help="the package index that pip asks")
    images_group.add_argument("--wheelhouse", type=Path, metavar="FOLDER", help="wheels that pip takes first")
    images_group.add_argument("--no-index", action="store_true", help="no index at all: the wheelhouse has everything")
    images_group.add_argument(
        "--save-wheelhouse",
        type=Path,
        metavar="FOLDER",
        help="make the chosen distributions' images, put the wheels that they fetched there, and run nothing: what "
        "--wheelhouse FOLDER --no-index wants where there is no index",
    )
    images_group.add_argument("--rebuild", action="store_true", help="build images anew that are there already")
    arguments = parser.parse_args()
    arguments.no_record = arguments.no_record or bool(arguments.pytest)
    for option, path in (("--ca-bundle", arguments.ca_bundle), ("--wheelhouse", arguments.wheelhouse)):
        if path and not path.exists():
            parser.error(f"{option}: {path} is not there")
    return arguments


def show_plan(cells: list[Cell], console: Console) -> None:
    for cell in cells:
        pythons = "" if cell.other else f"  Python {', '.join(cell.pythons)}"
        console.print(
            f"{cell.name}, {cell.profile.name}:  {', '.join(cell.jobs)}{pythons}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{len(cells)} cells", highlight=False)


def save_wheelhouse(runner: Runner, folder: Path, complain: Callable[[object], int]) -> int:
    """Make the images and save their wheels. A wheel that several distributions fetched is one file."""
    folder.mkdir(parents=True, exist_ok=True)
    for distro in {cell.distro.name: cell.distro for cell in runner.cells}.values():
        log = runner.logs / f"image-{distro.name}.log"
        complain(f"{distro.name}: make its image (the log: {log})")
        with open(log, "w", buffering=1) as file:
            wheels = runner.images.wheels(distro, lambda line: print(line, file=file))
        for name, content in wheels.items():
            (folder / name).write_bytes(content)
        complain(f"{distro.name}: {len(wheels)} wheels")
    complain(f"{len(list(folder.glob('*.whl')))} wheels in {folder}")
    return 0


def interrupt_once(number: int, frame: object) -> None:
    """Become a KeyboardInterrupt; a second signal must not stop the cleaning up: tox sends one more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def read_report(folder: Path) -> dict[str, Any] | None:
    path = folder / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> int:
    arguments = parse_arguments()
    console = Console()

    def complain(text: object) -> int:
        console.print(str(text), markup=False, highlight=False, soft_wrap=True)
        return 2

    before = None
    try:
        chosen = (arguments.distro, arguments.profile, arguments.python, arguments.job)
        cells = tables.plan(tables.read_distros(), tables.read_profiles(), *chosen)
        if not cells:
            return complain("nothing is chosen: interop needs two distributions")
        if arguments.plan:
            print(github_plan(cells))
            return 0
        if arguments.resume:
            before = read_report(arguments.output)
            content = images.state(images.checkout(), arguments.pytest)
            if before is None or before.get("schema_version") != results.SCHEMA_VERSION:
                complain(f"there is no report to resume in {arguments.output}: everything runs")
                before = None
            elif before.get("checkout") != content:
                complain("the report is of another state of checkout or tables, or of other options: everything runs")
                before = None
            else:
                cells = left_to_run(cells, before)
                if not cells:
                    complain("everything has passed already")
                    return 0
        if arguments.list:
            show_plan(cells, console)
            return 0
        runner = Runner(arguments, cells, console)
    except (TableError, EngineError) as error:
        return complain(error)

    signal.signal(signal.SIGINT, interrupt_once)
    signal.signal(signal.SIGTERM, interrupt_once)
    if arguments.save_wheelhouse:
        try:
            return save_wheelhouse(runner, arguments.save_wheelhouse, complain)
        except EngineError as error:
            return complain(error)
        except KeyboardInterrupt:
            complain(f"stopped; {runner.engine.remove_all()} containers removed")
            return 130
    stopped = False
    for cell in cells:
        (arguments.output / runner.found[cell.key]["log"]).unlink(missing_ok=True)
    with runner.board.live():
        try:
            runner.run()
        except KeyboardInterrupt:
            stopped = True
            removed = runner.engine.remove_all()
    found = runner.finish()
    if before:
        found = results.merge([before, found])
    if not arguments.no_record:
        tables.write_results(found)
        tables.README.write_text(tables.readme_with_table(tables.README.read_text()))
    report.write(found, arguments.output)
    if stopped:
        # An engine that was slow to answer may have made one meanwhile.
        removed += runner.engine.remove_all()
    if console.is_terminal or stopped:
        console.print(runner.board)
    counts = collections.Counter(cell["verdict"] for cell in found["cells"])
    for cell in found["cells"]:
        if cell["verdict"] != "passed":
            reason = cell.get("reason") or report.figures_of(cell)
            complain(
                f"{cell['distro']}, {cell['profile']}: {cell['verdict']}: {reason}; {arguments.output / cell['log']}"
            )
    words = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    if stopped:
        words = f"stopped; {removed} containers removed; {words}; --resume runs the rest"
    page = arguments.output / "index.html"
    complain(f"{words}, {runner.report['seconds']} s; the report: {page}")
    sys.stdout.flush()
    return 130 if stopped else 0 if found["verdict"] == "passed" else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Daemon threads may wait for the engine still: they go with the process.
    os._exit(status)
