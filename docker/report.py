"""The report: report.json, which has everything, and index.html, which shows it: one file, which needs no network.

python docker/report.py page report/report.json -o report/index.html
python docker/report.py merge A.json B.json -o report

A section of the page is a function here that turns the report into what its template, docker/report/NAME.html.j2,
shows.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import jinja2
import plots
import results
import tables

HERE = Path(__file__).resolve().parent
SOAK_KEYS = ("seed", "minutes", "messages", "faults", "losses")
RULES = HERE.parent / "tests" / "posix" / "rules.toml"
# What a rule comes to over several distributions: the first of these that any has.
ORDER = ("not held", "held", "not testable", "not run")
Report = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of the page: `data` is what its template shows, and None leaves the part out."""

    name: str
    title: str
    make: Callable[[Report], Any]
    job: str | None = None


def cell_id(cell: dict[str, Any]) -> str:
    words = [cell["distro"], *([f"with {cell['other']}"] if cell.get("other") else []), cell["profile"]]
    return "cell-" + re.sub(r"\W+", "-", " ".join(words))


def title_of(report: Report, cell: dict[str, Any]) -> str:
    name = str(report["distros"][cell["distro"]]["title"])
    other = cell.get("other")
    return f"Interop: {name} with {report['distros'][other]['title']}" if other else name


def figures_of(cell: dict[str, Any]) -> str:
    """Return what a cell found, in a few words."""
    words = [job_figures(name, job) for name, job in cell["jobs"].items()]
    absent = results.absent(cell) if cell["jobs"] else []
    words += [f"{', '.join(absent)} not run"] if absent else []
    return "; ".join(word for word in words if word) or cell.get("reason", "")


def job_figures(name: str, job: dict[str, Any]) -> str:
    if name == "tests":
        return ", ".join(f"{job[key]:,} {key}" for key in results.COUNTS if job[key] or key == "passed")
    if name == "limits":
        counts = collections.Counter(finding["verdict"] for finding in job["findings"])
        return "limits " + (f"{counts['failed']} differ" if counts["failed"] else "agree" if counts else "not found")
    if name == "bench":
        return f"{len(job['rows'])} measured"
    return "".join(f"{side['side']}: {side['messages']:,} messages in {side['seconds']} s; " for side in job["sides"])[
        :-2
    ]


def where_words(where: Iterable[str], everywhere: int) -> str:
    """Return places in words: "everywhere" rather than a list of all."""
    places = list(dict.fromkeys(where))
    return "everywhere" if len(places) == everywhere and everywhere > 1 else ", ".join(places)


def own_cells(report: Report) -> list[dict[str, Any]]:
    return [cell for cell in report["cells"] if not cell.get("other")]


def short(cell: dict[str, Any]) -> str:
    return f"{cell['distro']}, {cell['profile']}"


def grid(report: Report) -> Any:
    by_key = {results.key_of(cell): cell for cell in report["cells"]}
    names = [(name, None) for name in report["distros"]]
    names += list(dict.fromkeys((cell["distro"], cell["other"]) for cell in report["cells"] if cell.get("other")))
    rows = []
    for distro, other in names:
        cells = [by_key.get((distro, other, profile)) for profile in report["profiles"]]
        if any(cells):
            first = next(cell for cell in cells if cell)
            shown = [cell and {**cell, "id": cell_id(cell), "figures": figures_of(cell)} for cell in cells]
            rows.append({"title": title_of(report, first), "cells": shown})
    return {"profiles": [{"name": name, **row} for name, row in report["profiles"].items()], "rows": rows}


def limits(report: Report) -> Any:
    """A table a profile; distributions that agree in all numbers share a line."""
    tables_of_profiles = []
    for name, profile in report["profiles"].items():
        cells = [cell for cell in own_cells(report) if cell["profile"] == name and "limits" in cell["jobs"]]
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for cell in cells:
            asked = {**cell["asked"]["sysctls"], "RLIMIT_MSGQUEUE": cell["asked"]["ulimits"].get("msgqueue")}
            for finding in cell["jobs"]["limits"]["findings"]:
                same = tuple(finding[key] for key in ("limit", "predicted", "found", "verdict", "note"))
                line = lines.setdefault(same, {**finding, "asked": asked.get(finding["limit"]), "cells": []})
                line["cells"].append(cell["distro"])
        order = list(dict.fromkeys(line["limit"] for line in lines.values()))
        findings = sorted(lines.values(), key=lambda line: order.index(line["limit"]))
        for line in findings:
            line["where"] = where_words(line.pop("cells"), len(cells))
        if findings:
            tables_of_profiles.append({"name": name, "title": profile["title"], "findings": findings})
    return tables_of_profiles or None


def runs_of(report: Report) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for cell in own_cells(report):
        for python in cell["jobs"].get("tests", {}).get("pythons", ()):
            yield cell, python


def run_words(cell: dict[str, Any], python: dict[str, Any]) -> str:
    return f"{short(cell)}, {python['version']}"


def behaviour(report: Report) -> Any:
    runs = list(runs_of(report))
    if not runs:
        return None
    topics: dict[tuple[str, str], dict[str, Any]] = {}
    for cell, python in runs:
        where = run_words(cell, python)
        for one in python["topics"]:
            topic = topics.setdefault(
                (one["group"], one["topic"]),
                {
                    "topic": one["topic"],
                    "group": one["group"],
                    "seconds": 0.0,
                    "failures": [],
                    "skips": {},
                    **dict.fromkeys(results.COUNTS, 0),
                },
            )
            for key in (*results.COUNTS, "seconds"):
                topic[key] += one[key]
            topic["failures"] += [{**failure, "where": where if len(runs) > 1 else ""} for failure in one["failures"]]
            for reason, count in one["skips"].items():
                skip = topic["skips"].setdefault(reason, {"reason": reason, "count": 0, "where": []})
                skip["count"] += count
                skip["where"].append(cell["profile"])
    for topic in topics.values():
        topic["verdict"] = "failed" if topic["failed"] else "passed" if topic["passed"] else "skipped"
        topic["skips"] = list(topic["skips"].values())
        for skip in topic["skips"]:
            profiles = len(report["profiles"])
            skip["where"] = where_words(skip["where"], profiles) if profiles > 1 else ""
    counts = {key: sum(topic[key] for topic in topics.values()) for key in results.COUNTS}
    return {**counts, "runs": len(runs), "topics": [topics[key] for key in sorted(topics)]}


def benches(report: Report) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(cell, cell["jobs"]["bench"]) for cell in own_cells(report) if "bench" in cell["jobs"]]


def subjects_of(rows: list[dict[str, Any]]) -> list[str]:
    found = list(dict.fromkeys(row["subject"] for row in rows))
    known = [subject for subject in plots.SUBJECTS if subject in found]
    return known + [subject for subject in found if subject not in known]


def nanoseconds(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:,.0f}"


def family_of(row: dict[str, Any]) -> str:
    """Return the question that a row belongs to, and the timeout where it has one."""
    timeout = row.get("timeout")
    return str(row.get("question") or row["case"]) + (f", timeout={timeout}" if timeout is not None else "")


def peers(rows: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Yield the peers side by side: one process, the smallest message."""
    cases = collections.Counter(row["case"] for row in rows if row.get("question", "latency") == "latency")
    if not cases:
        cases = collections.Counter(row["case"] for row in rows)
    # The first of those that most take part in.
    case, _ = cases.most_common(1)[0]
    of_case = sorted((row for row in rows if row["case"] == case), key=lambda row: row["median_ns"])
    unit = of_case[0].get("unit", "an operation")
    yield {
        "title": f"Peers side by side: {case}",
        "svg": plots.ladder({row["subject"]: row["median_ns"] for row in of_case}, f"ns, {unit}, median"),
        "caption": f"Median nanoseconds of {unit} on {where}; shorter is better, and the axis is logarithmic.",
        "corner": "subject",
        "columns": ["ns", "to the C loop", "to posix_ipc"],
        "rows": [
            {
                "name": f"{row['subject']} {row['version']}",
                "figures": [
                    nanoseconds(row["median_ns"]),
                    ratio(row.get("ratio_to_floor")),
                    ratio(row.get("ratio_to_posix_ipc")),
                ],
            }
            for row in of_case
        ],
        "folded": False,
    }


def by_size(rows: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Yield a plot a question, over the sizes that it was asked for, with its numbers."""
    for family in dict.fromkeys(map(family_of, rows)):
        # A queue of larger messages than are sent is another question.
        of_family = [
            row
            for row in rows
            if family_of(row) == family
            and row.get("size") is not None
            # No queue is made for messages of 0 bytes.
            and row.get("max_message_size", max(row["size"], 1)) == max(row["size"], 1)
        ]
        sizes = sorted({row["size"] for row in of_family})
        if len(sizes) < 2:
            continue
        subjects = subjects_of(of_family)
        series = {
            subject: {row["size"]: row["median_ns"] for row in of_family if row["subject"] == subject}
            for subject in subjects
        }
        yield {
            "title": f"By message size: {family}",
            "svg": plots.lines(series, "bytes a message", "ns, median"),
            "caption": f"Median nanoseconds on {where}; lower is better, and both axes are logarithmic.",
            "folded": False,
            "corner": "bytes",
            "columns": subjects,
            "rows": [
                {"name": f"{size:,}", "figures": [nanoseconds(series[subject].get(size)) for subject in subjects]}
                for size in sizes
            ],
        }


# Of single calls, and what the page calls them.
SHARES = {0.5: "half within", 0.9: "90 % within", 0.99: "99 % within", 0.999: "99.9 % within", 1.0: "slowest"}


def single_calls(rows: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Yield a plot a case of which single calls were timed: how many were slow, and how slow."""
    spread = [row for row in rows if row.get("spread_ns")]
    for case in dict.fromkeys(row["case"] for row in spread):
        of_case = {row["subject"]: row for row in spread if row["case"] == case}
        subjects = subjects_of(list(of_case.values()))
        unit = of_case[subjects[0]].get("unit", "an operation")
        yield {
            "title": f"How single calls are spread: {case}",
            "svg": plots.tails(
                {subject: of_case[subject]["spread_ns"] for subject in subjects}, f"ns, {unit}", "took longer"
            ),
            "caption": f"Share of calls that took longer, on {where}; left is better, and both axes are logarithmic.",
            "corner": "ns, subject",
            "columns": [*SHARES.values(), "calls"],
            "rows": [
                {
                    "name": f"{subject} {of_case[subject]['version']}",
                    "figures": [
                        *(nanoseconds(dict(map(tuple, of_case[subject]["spread_ns"])).get(share)) for share in SHARES),
                        f"{of_case[subject]['calls']:,}",
                    ],
                }
                for subject in subjects
            ],
            "folded": False,
        }


def by_distribution(report: Report, cells: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a plot a question, its smallest size, over the distributions, under one profile."""
    profile = cells[0][0]["profile"]
    here = [(cell["distro"], job["rows"]) for cell, job in cells if cell["profile"] == profile]
    # tox chooses it for bench, whatever the tests ran on.
    used = dict.fromkeys(job["python"] for cell, job in cells if cell["profile"] == profile and "python" in job)
    pythons = f", Python {' and '.join(used)}" if used else ""
    if len(here) < 2:
        return
    everything = [row for _, rows in here for row in rows if row.get("ratio_to_floor") is not None]
    families = sorted(dict.fromkeys(map(family_of, everything)), key=lambda name: name != "latency")
    for number, family in enumerate(families):
        of_family = [row for row in everything if family_of(row) == family]
        smallest = min(row.get("size") or 0 for row in of_family)
        case = next(row["case"] for row in of_family if (row.get("size") or 0) == smallest)
        subjects = subjects_of([row for row in of_family if row["case"] == case])
        found = {
            subject: [
                next((row for row in rows if row["case"] == case and row["subject"] == subject), None)
                for _, rows in here
            ]
            for subject in subjects
        }
        names = [report["distros"][name]["title"] for name, _ in here]
        floor = next(row.get("floor", "C loop") for row in of_family)
        drawn = [subject for subject in subjects if subject in plots.SUBJECTS]
        series = {subject: [row and row.get("ratio_to_floor") for row in found[subject]] for subject in drawn}
        yield {
            "title": f"By distribution: {case}",
            "svg": plots.bars([name for name, _ in here], series, f"times the {floor}"),
            "caption": f"Times the {floor} of the same cell, {profile}{pythons}; lower is better.",
            "folded": number > 0,
            "corner": "distribution",
            "columns": [f"{subject}, {unit}" for subject in subjects for unit in ("ns", "ratio")],
            "rows": [
                {
                    "name": name,
                    "figures": [
                        value
                        for subject in subjects
                        for row in [found[subject][index]]
                        for value in (nanoseconds(row and row["median_ns"]), ratio(row and row.get("ratio_to_floor")))
                    ],
                }
                for index, name in enumerate(names)
            ],
        }


def speed(report: Report) -> Any:
    cells = benches(report)
    if not cells:
        return None
    many = len(cells) > 1
    cases: dict[str, list[dict[str, Any]]] = {}
    left_out: dict[str, list[str]] = {}
    for cell, job in cells:
        for row in job["rows"]:
            cases.setdefault(row["case"], []).append({**row, "where": short(cell)})
        for reason in job["left_out"]:
            left_out.setdefault(reason, []).append(short(cell))
    first, job = next((one for one in cells if one[1]["rows"]), cells[0])
    where = title_of(report, first)
    rows = job["rows"]
    figures = []
    if rows:
        figures += [*peers(rows, where), *single_calls(rows, where), *by_size(rows, where)]
        figures += by_distribution(report, cells)
    return {
        "many": many,
        "figures": figures,
        "cases": [
            {"case": case, "rows": sorted(rows, key=lambda row: (row["where"], row["median_ns"]))}
            for case, rows in cases.items()
        ],
        "left_out": [
            f"{reason} ({where_words(where, len(cells))})" if many else reason for reason, where in left_out.items()
        ],
        "outputs": [{"where": short(cell), "text": job["output"]} for cell, job in cells if "output" in job],
    }


def outcomes_by_distro(report: Report, of: Callable[[dict[str, Any]], dict[Any, str]]) -> dict[str, dict[Any, str]]:
    """Return, a distribution, what came of each thing that tests tell of: over all profiles and Pythons."""
    found: dict[str, dict[Any, list[str]]] = {}
    for cell, python in runs_of(report):
        for key, outcome in of(python).items():
            found.setdefault(cell["distro"], {}).setdefault(key, []).append(outcome)
    return {distro: {key: results.verdict_of(all_of) for key, all_of in one.items()} for distro, one in found.items()}


def rules(report: Report) -> Any:
    """The rules of tests/posix/rules.toml by function: a column a distribution."""
    if not report.get("rules"):
        return None
    found = outcomes_by_distro(report, lambda python: python.get("rules", {}))
    distros = [name for name in report["distros"] if name in found]
    words = {"passed": "held", "failed": "not held", "skipped": "not run", "not run": "not run"}
    functions: dict[str, list[dict[str, Any]]] = {}
    counts: collections.Counter[str] = collections.Counter()
    for rule in report["rules"]:
        if rule.get("reason"):
            outcomes = ["not testable"] * len(distros)
        else:
            outcomes = [words[found[name].get(rule["id"], "not run")] for name in distros]
        word = next((one for one in ORDER if one in outcomes), "not run")
        counts[word] += 1
        notes = [f"{key}: {rule[key]}" for key in ("linux", "glibc", "musl", "reason") if rule.get(key)]
        shown = {"source": "", **rule, "notes": notes, "outcomes": outcomes, "word": word}
        functions.setdefault(rule["id"].partition(".")[0], []).append(shown)
    listed = []
    for name, of_function in functions.items():
        here = collections.Counter(rule["word"] for rule in of_function)
        summary = ", ".join(
            f"{here[word]} {word}" for word in ("held", "not held", "not testable", "not run") if here[word]
        )
        listed.append({"name": name, "rules": of_function, "summary": summary, "open": bool(here["not held"])})
    return {
        "columns": [report["distros"][name]["title"] for name in distros],
        "functions": listed,
        "rules": len(report["rules"]),
        "held": counts["held"],
        "not_held": counts["not held"],
        "not_testable": counts["not testable"],
        "not_run": counts["not run"],
    }


def faults(report: Report) -> Any:
    """Faults tried and survived: the tests of tests/faults by file, a column a distribution, and the soak."""
    found = outcomes_by_distro(
        report, lambda python: {(one["topic"], one["test"]): one["verdict"] for one in python.get("faults", ())}
    )
    distros = [name for name in report["distros"] if name in found]
    soak = report.get("soak")
    if not distros and not soak:
        return None
    topics: dict[str, list[dict[str, Any]]] = {}
    for topic, test in dict.fromkeys(key for name in distros for key in found[name]):
        outcomes = [found[name].get((topic, test), "not run") for name in distros]
        words = test.replace("test_", "", 1).replace("_", " ")
        topics.setdefault(topic, []).append({"test": words, "outcomes": outcomes})
    return {
        "soak": soak,
        "columns": [report["distros"][name]["title"] for name in distros],
        "topics": [{"topic": topic, "rows": rows} for topic, rows in topics.items()],
    }


def systems(report: Report) -> Any:
    rows = []
    for name, distro in report["distros"].items():
        of_distro = [cell for cell in own_cells(report) if cell["distro"] == name and cell["system"]]
        if not of_distro:
            continue
        system = of_distro[0]["system"]
        versions = [one["version"] for cell in of_distro for one in cell["jobs"].get("tests", {}).get("pythons", ())]
        pythons = ", ".join(sorted(set(versions), key=tables.version_key)) or system["python"]
        rows.append({"title": distro["title"], "base": distro["base"], **system, "pythons": pythons})
    return rows or None


def settings_of(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each limit that a cell asked for or has, asked beside given."""
    given = cell.get("given")
    if not given:
        return []
    asked = cell["asked"]
    rows = [
        {"name": name, "asked": asked["sysctls"].get(name), "given": value} for name, value in given["sysctls"].items()
    ]
    byte_limit = given["msgqueue"][0]
    rows.append({"name": "RLIMIT_MSGQUEUE", "asked": asked["ulimits"].get("msgqueue"), "given": byte_limit})
    return rows


def cells(report: Report) -> Any:
    shown = []
    for cell in report["cells"]:
        system, asked = cell["system"], cell["asked"]
        facts = [(key.replace("_", " "), words(value)) for key, value in system.items()]
        facts += [
            (key.replace("_", " "), ", ".join(asked[key]))
            for key in ("cap_drop", "cap_add", "security_opt")
            if asked[key]
        ]
        if cell.get("given"):
            facts.append(("capabilities", cell["given"]["capabilities"]))
        pythons = cell["jobs"].get("tests", {}).get("pythons", ())
        facts += [
            (f"tests, Python {one['version']}", f"{job_figures('tests', one)} in {one['seconds']} s") for one in pythons
        ]
        if "python" in cell["jobs"].get("bench", {}):
            facts.append(("benchmarks, Python", cell["jobs"]["bench"]["python"]))
        facts += [
            (f"interop, {side['side']}", side["system"]["python"])
            for side in cell["jobs"].get("interop", {}).get("sides", ())
        ]
        failures = [
            {**failure, "where": one["version"]}
            for one in pythons
            for topic in one["topics"]
            for failure in topic["failures"]
        ]
        jobs = {name: {**job, "figures": job_figures(name, job)} for name, job in cell["jobs"].items()}
        shown.append(
            {
                "reason": None,
                "log": None,
                "log_tail": None,
                **cell,
                "id": cell_id(cell),
                "title": title_of(report, cell),
                "jobs": jobs,
                "facts": facts,
                "failures": failures,
                "settings": settings_of(cell),
            }
        )
    return shown


SECTIONS = (
    Section("grid", "Cells", grid),
    Section("limits", "Limits", limits, "limits"),
    Section("behaviour", "Behaviour", behaviour, "tests"),
    Section("rules", "Rules of the standard", rules),
    Section("faults", "Faults tried and survived", faults),
    Section("speed", "Speed", speed, "bench"),
    Section("systems", "Systems", systems),
    Section("cells", "Each cell", cells),
)


def number(value: float | None) -> str:
    """Write a number with thousands marked; nothing known is a dash."""
    return "\u2013" if value is None else f"{value:,}"


def ratio(value: float | None) -> str:
    return f"{value:.2f}" if isinstance(value, (int, float)) else "\u2013"


def words(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def render(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = number
    environment.filters["ratio"] = lambda value: ratio(None if isinstance(value, jinja2.Undefined) else value)
    shown = []
    for section in SECTIONS:
        data = section.make(report)
        if data is None:
            continue
        jobs = [cell["jobs"][section.job]["verdict"] for cell in report["cells"] if section.job in cell["jobs"]]
        verdict = results.verdict_of(jobs) if jobs else None
        template = f"{section.name}.html.j2"
        shown.append(
            {"id": section.name, "title": section.title, "verdict": verdict, "template": template, "data": data}
        )
    titles = [row["title"] for row in report["distros"].values()]
    where = titles[0] if len(titles) == 1 else f"{len(titles)} distributions"
    return environment.get_template("page.html.j2").render(report=report, sections=shown, where=where)


def write(report: Report, folder: Path) -> Path:
    """Write report.json and index.html; return the page."""
    if RULES.exists() and "rules" not in report:
        report["rules"] = tables.read(RULES)["rule"]
    soak = folder / "soak.json"  # what `tox run -e soak` left there
    if soak.exists() and "soak" not in report:
        found = json.loads(soak.read_text())
        report["soak"] = {key: found[key] for key in SOAK_KEYS}
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("report.json").write_text(json.dumps(report, indent=1) + "\n")
    page = folder / "index.html"
    page.write_text(render(report))
    return page


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the page from a report.json, or one report of several.")
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="make the page from a report.json")
    page.add_argument("json", type=Path, help="what a run wrote")
    page.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the page")
    merge = commands.add_parser("merge", help="make one report of several, of many machines")
    merge.add_argument("json", type=Path, nargs="+", help="what the runs wrote")
    merge.add_argument(
        "-o", "--output", type=Path, default=HERE.parent / "report", metavar="FOLDER", help="default: report"
    )
    arguments = parser.parse_args(argv)
    if arguments.command == "page":
        arguments.output.write_text(render(json.loads(arguments.json.read_text())))
        return 0
    try:
        merged = results.merge([json.loads(path.read_text()) for path in arguments.json])
    except (OSError, ValueError) as error:
        print(f"cannot merge: {error}", file=sys.stderr)
        return 2
    print(f"{len(merged['cells'])} cells, {merged['verdict']}; the report: {write(merged, arguments.output)}")
    return 0 if merged["verdict"] == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
