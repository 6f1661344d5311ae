"""What a run found, as data: JUnit and pytest-benchmark files read, verdicts drawn, reports of many machines merged.

The form of all of it is in schema.json.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Iterable, Iterator

SCHEMA_VERSION = 2
# What bench/ is asked: for a look the cases that have a target, for a claim all of them, which takes some minutes.
BENCH_QUICK = ("--set=targets", "--rounds=20")
BENCH_FULL = ("--set=all", "--rounds=50")
OURS = "posix_ipc_swig"
# What holds the same queues as ours: where one of these was measured, ours can be.
ITS_LIKES = ("C loop", "posix_ipc", "posix_ipc_swig.raw")
COUNTS = ("passed", "failed", "skipped")
# The tests of a rule of the standard end in its id: test_it[mq_open.7].
RULE = re.compile(r"\[(?:.*-)?([a-z]\w*(?:\.h)?\.\d+)\]$")
QUEUE = re.compile(r": '/[\w.-]+'$")
# A verdict of several: the first of these that any of them has.
ORDER = ("failed", "passed", "skipped", "not run")


def verdict_of(verdicts: Iterable[str]) -> str:
    """Return what several verdicts come to: one failure fails; what was skipped or not run does not pass alone."""
    found = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in found), "not run")


def outcome_of(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def topic_of(case: ElementTree.Element) -> tuple[str, str]:
    """Return the folder below tests/ and the topic, a test file's name in words."""
    parts = case.get("classname", "").split(".")
    index = next((i for i in reversed(range(len(parts))) if parts[i].startswith("test_")), len(parts) - 1)
    group = parts[index - 1] if index > 0 and parts[index - 1] != "tests" else ""
    return group, parts[index].replace("test_", "", 1).replace("_", " ")


def topics_of(junit: Path) -> Iterator[dict[str, Any]]:
    """Yield a topic, a test file, at a time: counts, seconds, the failures' texts, the reasons of what was skipped."""
    topics: dict[tuple[str, str], dict[str, Any]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        topic = topics.setdefault(
            topic_of(case), {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "failures": [], "skips": {}}
        )
        topic["seconds"] += float(case.get("time", "0"))
        outcome = outcome_of(case)
        topic[outcome] += 1
        for problem in case.findall("failure") + case.findall("error"):
            topic["failures"].append({"test": case.get("name"), "text": problem.text or problem.get("message") or ""})
        skip = case.find("skipped")
        if outcome == "skipped" and skip is not None:
            reason = skip.get("message") or "no reason given"
            topic["skips"][reason] = topic["skips"].get(reason, 0) + 1
    for group, name in sorted(topics):
        topic = topics[group, name]
        topic["seconds"] = round(topic["seconds"], 3)
        verdict = "failed" if topic["failed"] else "passed" if topic["passed"] else "skipped"
        yield {"topic": name, "group": group, "verdict": verdict, **topic}


def rules_of(junit: Path) -> dict[str, str]:
    """Return the outcome of each rule that has a test: one that fails decides, then one that passes."""
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        match = RULE.search(case.get("name", ""))
        if match:
            found.setdefault(match[1], []).append(outcome_of(case))
    return {rule: verdict_of(outcomes) for rule, outcomes in sorted(found.items())}


def cases_of(junit: Path, group: str) -> list[dict[str, str]]:
    """Return the tests of one folder below tests/, each with its outcome."""
    return [
        {"topic": topic_of(case)[1], "test": case.get("name", ""), "verdict": outcome_of(case)}
        for case in ElementTree.parse(junit).iter("testcase")
        if topic_of(case)[0] == group
    ]


def tests_of_python(version: str, junit: Path | None, status: int) -> dict[str, Any]:
    """Return what the tests found under one Python: its JUnit file, where there is one, and pytest's exit status."""
    topics = list(topics_of(junit)) if junit else []
    counts = {key: sum(topic[key] for topic in topics) for key in COUNTS}
    result: dict[str, Any] = {
        "version": version,
        "verdict": "passed" if status == 0 and counts["passed"] else "failed",
        **counts,
        "seconds": round(sum(topic["seconds"] for topic in topics), 1),
        "topics": topics,
    }
    if junit:
        result["rules"] = rules_of(junit)
        result["faults"] = cases_of(junit, "faults")
    return result


def tests_of(pythons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "verdict": verdict_of(python["verdict"] for python in pythons),
        **{key: sum(python[key] for python in pythons) for key in COUNTS},
        "pythons": pythons,
    }


def limits_of(findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was found of the limits: nothing found is no agreement."""
    verdict = verdict_of(finding["verdict"] for finding in findings)
    return {"verdict": verdict, "findings": findings}


def left_out_of(skips: Iterable[str]) -> list[str]:
    """Return why cases were left out, each reason once. skips: `case: reason`."""
    by_reason: dict[str, set[str]] = {}
    for skip in skips:
        case, _, reason = skip.partition(": ")
        by_reason.setdefault(reason or case, set()).add(skip)
    return sorted(
        f"{reason} ({len(which)} cases)" if len(which) > 1 else min(which) for reason, which in by_reason.items()
    )


def bench_of(saved: Path | None, status: int, output: str) -> dict[str, Any]:
    """Return what pytest-benchmark saved, a row a subject and case, in nanoseconds."""
    data = json.loads(saved.read_text()) if saved else {"benchmarks": []}
    measured = data["benchmarks"]
    rows = [
        {
            "case": benchmark["group"] or benchmark["name"],
            **benchmark["extra_info"],
            **{f"{key}_ns": round(benchmark["stats"][key] * 1e9, 1) for key in ("min", "q1", "median", "q3", "max")},
            "rounds": benchmark["stats"]["rounds"],
        }
        for benchmark in measured
    ]
    # The queue's own name makes many of one reason.
    skips = (line.split(": ", 1)[1] for line in output.splitlines() if line.startswith("SKIPPED "))
    left_out = left_out_of(QUEUE.sub("", skip) for skip in skips)
    without = without_ours(rows)
    left_out += [f"{case}: others were measured, and {OURS} was not" for case in without]
    verdict = "passed" if status == 0 and rows and not without else "failed"
    # tox chose it: the machine's own words, as no table says it.
    python = data.get("machine_info", {}).get("python_version")
    return {"verdict": verdict, **({"python": python} if python else {}), "rows": rows, "left_out": left_out}


def without_ours(rows: list[dict[str, Any]]) -> list[str]:
    """Return the cases that measured others of ours' kind and not ours: nothing is known of what the report is for."""
    subjects: dict[str, set[str]] = {}
    for row in rows:
        subjects.setdefault(row["case"], set()).add(row["subject"])
    return [case for case, found in subjects.items() if OURS not in found and found.intersection(ITS_LIKES)]


def absent(cell: dict[str, Any]) -> list[str]:
    """Return the jobs that a cell was to do, and that are not there or found nothing."""
    jobs = cell["jobs"]
    return [job for job in cell.get("planned", ()) if job not in jobs or jobs[job]["verdict"] == "not run"]


def finish(report: dict[str, Any]) -> dict[str, Any]:
    """Give a report's cells their verdicts, and the report its own: passed only when every cell has.

    What a cell was to do and did not leaves it not run, however well it did the rest.
    """
    for cell in report["cells"]:
        verdict = verdict_of(job["verdict"] for job in cell["jobs"].values())
        if "reason" in cell and verdict != "failed":
            verdict = cell["verdict"]
        cell["verdict"] = "not run" if verdict == "passed" and absent(cell) else verdict
    verdicts = [cell["verdict"] for cell in report["cells"]]
    report["verdict"] = "failed" if "failed" in verdicts else "passed" if set(verdicts) == {"passed"} else "not run"
    return report


def key_of(cell: dict[str, Any]) -> tuple[str, str | None, str]:
    return cell["distro"], cell.get("other"), cell["profile"]


def merge_cell(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return one cell of two runs of it: a job, and a Python's tests, are the newer run's where both have them."""
    planned = list(dict.fromkeys(job for cell in (old, new) for job in cell.get("planned", cell["jobs"])))
    if new["verdict"] == "not run" and not new["jobs"]:
        return {**old, "planned": planned}
    if old["verdict"] == "not run" and not old["jobs"]:
        return {**new, "planned": planned}
    jobs = {**old["jobs"], **new["jobs"]}
    if "tests" in old["jobs"] and "tests" in new["jobs"]:
        ran = {python["version"] for python in new["jobs"]["tests"]["pythons"]}
        kept = [python for python in old["jobs"]["tests"]["pythons"] if python["version"] not in ran]
        jobs["tests"] = tests_of(kept + new["jobs"]["tests"]["pythons"])
    if all(job in jobs for job in planned):
        # What the newer run made good.
        old = {key: value for key, value in old.items() if key not in ("reason", "log_tail")}
    elif "reason" in old and "reason" not in new:
        new = {**new, "verdict": old["verdict"]}
    return {**old, **new, "planned": planned, "jobs": jobs, "seconds": round(old["seconds"] + new["seconds"], 1)}


def merge(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one report of several, of one machine or of many; where two have the same cell, the later run counts."""
    for report in reports:
        if report.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {report.get('schema_version')}, and this reads {SCHEMA_VERSION}")
    reports = sorted(reports, key=lambda report: report["started"])
    newest = reports[-1]
    cells: dict[Any, dict[str, Any]] = {}
    for report in reports:
        for cell in report["cells"]:
            key = key_of(cell)
            cells[key] = merge_cell(cells[key], cell) if key in cells else cell
    machines = []
    for report in reports:
        machines += [machine for machine in report["machines"] if machine not in machines]
    merged = {
        **newest,
        "started": reports[0]["started"],
        "seconds": round(sum(report["seconds"] for report in reports), 1),
        "quick": any(report["quick"] for report in reports),
        "changed": any(report["changed"] for report in reports),
        "machines": machines,
        "distros": {name: row for report in reports for name, row in report["distros"].items()},
        "profiles": {name: row for report in reports for name, row in report["profiles"].items()},
        "cells": list(cells.values()),
    }
    others = sorted({report["commit"] for report in reports if report["commit"]} - {newest["commit"]})
    if others:
        merged["other_commits"] = others
    faults = [report["soak"] for report in reports if report.get("soak")]
    if faults:
        merged["soak"] = faults[-1]
    return finish(merged)
