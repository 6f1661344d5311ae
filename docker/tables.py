"""The tables: which distributions and limit profiles there are, what is chosen of them, and what the last run found.

python docker/tables.py --check   fails when the README's table is not what the tables and results.json say
python docker/tables.py --write   writes it
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
DISTROS = HERE / "distros.toml"
PROFILES = HERE / "profiles.toml"
RESULTS = HERE / "results.json"
FAMILIES = ("apt", "dnf", "zypper", "pacman", "apk")
JOBS = ("tests", "limits", "bench", "interop")
BEGIN, END = "<!-- matrix: made by docker/tables.py -->", "<!-- matrix: end -->"


class TableError(Exception):
    """A table says what it may not say, or a choice names nothing."""


@dataclass(frozen=True)
class Distro:
    """A row of distros.toml."""

    name: str
    title: str
    base: str
    family: str
    pythons: tuple[str, ...]
    libc: str


@dataclass(frozen=True)
class Profile:
    """A row of profiles.toml."""

    name: str
    title: str
    sysctls: dict[str, int] = field(default_factory=dict)
    ulimits: dict[str, int] = field(default_factory=dict)
    raise_ulimits: dict[str, int] = field(default_factory=dict)
    user: str = "tester"
    serial: bool = False
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One distribution under one profile with some of its Pythons; interop has a second distribution."""

    distro: Distro
    profile: Profile
    pythons: tuple[str, ...]
    jobs: tuple[str, ...]
    other: Distro | None = None

    @property
    def name(self) -> str:
        return self.distro.name + (f" with {self.other.name}" if self.other else "")

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.profile.name

    @property
    def file_name(self) -> str:
        return "-".join(self.key).replace(" ", "-")


def read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{path.name}: {error}") from None


def row(kind: type, path: Path, name: str, values: dict[str, Any]) -> Any:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(name=name, **values)
    except TypeError as error:
        raise TableError(f"{path.name}: [{name}]: {str(error).partition(' ')[2]}") from None


def read_distros(path: Path = DISTROS) -> list[Distro]:
    rows = [row(Distro, path, name, values) for name, values in read(path).items()]
    for distro in rows:
        if distro.family not in FAMILIES:
            raise TableError(f"{path.name}: [{distro.name}]: family is none of {', '.join(FAMILIES)}")
        if distro.libc not in ("glibc", "musl"):
            raise TableError(f"{path.name}: [{distro.name}]: libc is neither glibc nor musl")
        if not distro.pythons:
            raise TableError(f"{path.name}: [{distro.name}]: no Python")
    return rows


def read_profiles(path: Path = PROFILES) -> list[Profile]:
    rows = [row(Profile, path, name, values) for name, values in read(path).items()]
    for profile in rows:
        if profile.user not in ("tester", "root"):
            raise TableError(f"{path.name}: [{profile.name}]: user is neither tester nor root")
    return rows


def choose(what: str, names: list[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that any of the patterns matches, in their order; all where there is no pattern."""
    patterns = list(patterns)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise TableError(f"no {what} is {pattern!r}; there are: {', '.join(names)}")
    return [name for name in names if not patterns or any(fnmatch.fnmatchcase(name, one) for one in patterns)]


def plan(
    distros: list[Distro],
    profiles: list[Profile],
    chosen_distros: Iterable[str] = (),
    chosen_profiles: Iterable[str] = (),
    chosen_pythons: Iterable[str] = (),
    chosen_jobs: Iterable[str] = (),
) -> list[Cell]:
    """Return the cells that a choice means: each distribution under each profile, then the pairs of interop."""
    by_name = {distro.name: distro for distro in distros}
    here = [by_name[name] for name in choose("distribution", list(by_name), chosen_distros)]
    profile_names = choose("profile", [profile.name for profile in profiles], chosen_profiles)
    all_pythons = sorted({version for distro in here for version in distro.pythons}, key=version_key)
    pythons = choose("Python", all_pythons, chosen_pythons)
    jobs = choose("job", list(JOBS), chosen_jobs)
    cells = []
    in_cells = tuple(job for job in jobs if job != "interop")
    for profile in (profile for profile in profiles if profile.name in profile_names):
        for distro in here:
            versions = tuple(version for version in distro.pythons if version in pythons)
            if versions and in_cells:
                cells.append(Cell(distro, profile, versions, in_cells))
        if "interop" in jobs:
            for one, other in pairs(here):
                cells.append(Cell(one, profile, one.pythons[:1], ("interop",), other))
    return cells


def pairs(distros: list[Distro]) -> list[tuple[Distro, Distro]]:
    """Return who talks with whom: the oldest glibc with the newest, and each musl with the newest glibc.

    The table is in order of age within a distribution; the age of a glibc is told by the Python beside it.
    """
    glibc = [distro for distro in distros if distro.libc == "glibc"]
    musl = [distro for distro in distros if distro.libc == "musl"]
    found = []
    if glibc:
        # max() keeps the first of equals, and the last row of a distribution is its newest.
        oldest = min(glibc, key=lambda distro: version_key(distro.pythons[0]))
        newest = max(reversed(glibc), key=lambda distro: version_key(max(distro.pythons, key=version_key)))
        if oldest != newest:
            found.append((oldest, newest))
        found += [(distro, newest) for distro in musl]
    return found


def version_key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def read_results(path: Path = RESULTS) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {"distros": {}}


def write_results(report: dict[str, Any], path: Path = RESULTS) -> None:
    """Keep what a run found of each distribution it ran, with its date; the others' rows stay as they are."""
    kept = read_results(path)
    rows = {distro.name: distro for distro in read_distros()}
    for cell in report["cells"]:
        if cell["verdict"] == "not run" or cell.get("other") or cell["distro"] not in report["distros"]:
            continue
        title, system, tests = report["distros"][cell["distro"]]["title"], cell["system"], cell["jobs"].get("tests", {})
        ran = {python["version"] for python in tests.get("pythons", ())}
        # Some of its Pythons or jobs say nothing of the cell; nor does a machine that is no row of the table.
        if cell["distro"] not in rows or not ran >= set(rows[cell["distro"]].pythons) or "limits" not in cell["jobs"]:
            continue
        entry = kept["distros"].setdefault(cell["distro"], {"profiles": {}})
        entry.update(
            title=title,
            kernel=system.get("kernel"),
            c_library=system.get("c_library"),
            compiler=system.get("compiler"),
            pythons=[python["version"] for python in tests.get("pythons", ())] or entry.get("pythons", []),
        )
        entry["profiles"][cell["profile"]] = {
            "verdict": cell["verdict"],
            "date": cell["started"][:10],
            "commit": report["commit"],
            **{key: tests.get(key, 0) for key in ("passed", "failed", "skipped")},
            "jobs": {name: job["verdict"] for name, job in cell["jobs"].items()},
        }
    kept["interop"] = kept.get("interop", {})
    for cell in report["cells"]:
        if cell.get("other") and cell["verdict"] != "not run":
            pair = kept["interop"].setdefault(f"{cell['distro']} with {cell['other']}", {})
            pair[cell["profile"]] = {"verdict": cell["verdict"], "date": cell["started"][:10]}
    path.write_text(json.dumps(kept, indent=1) + "\n")


def readme_table() -> str:
    """Return the README's table: a row a distribution, and what was last found of it."""
    profiles = [profile.name for profile in read_profiles()]
    results = read_results()
    lines = [
        "| distribution | Pythons | C library | " + " | ".join(f"`{name}`" for name in profiles) + " | last run |",
        "| --- | --- | --- | " + "--- | " * len(profiles) + "--- |",
    ]
    for distro in read_distros():
        found = results["distros"].get(distro.name)
        pythons = ", ".join(sorted((found or {}).get("pythons") or distro.pythons, key=version_key))
        # Words for what only a run can tell: the row of a distribution that never ran promises nothing.
        library = (found or {}).get("c_library") or distro.libc
        cells = [(found or {"profiles": {}})["profiles"].get(name) for name in profiles]
        dates = [cell["date"] for cell in cells if cell]
        words = [f"{cell['verdict']}, {cell['passed']:,} tests" if cell else "not run" for cell in cells]
        lines.append(
            f"| {distro.title} | {pythons} | {library} | {' | '.join(words)} | {max(dates) if dates else 'not run'} |"
        )
    for pair, found in results.get("interop", {}).items():
        words = [found[name]["verdict"] if name in found else "not run" for name in profiles]
        date = max(one["date"] for one in found.values())
        lines.append(f"| interop: {pair} | | | {' | '.join(words)} | {date} |")
    return "\n".join(lines)


def readme_with_table(text: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise TableError(f"README.md has no place for the table: a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n\n{readme_table()}\n\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description="The README's table of the matrix, from the tables and results.json.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true", help="fail when the README's table is not current")
    group.add_argument("--write", action="store_true", help="write it")
    arguments = parser.parse_args()
    try:
        old = README.read_text()
        new = readme_with_table(old)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.write:
        README.write_text(new)
    elif old != new:
        print("README.md: the matrix's table is not current: python docker/tables.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
