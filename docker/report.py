"""Make the page from what a run found: one file, which needs no network.

python docker/report.py report/report.json -o report/index.html
"""

from __future__ import annotations

import argparse
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).resolve().parent


def number(value: float | None) -> str:
    """Write a number with thousands marked; nothing known is a dash."""
    return "\u2013" if value is None else f"{value:,}"


def by_case(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the benchmarks a case at a time, the fastest first, each with the share of the slowest's bar it fills."""
    cases = []
    for case, group in groupby(
        sorted(rows, key=lambda row: (row["size"], row["timeout"] or 0)), lambda row: row["case"]
    ):
        subjects = sorted(group, key=lambda row: row["median_ns"])
        longest = max(row["q3_ns"] for row in subjects)
        cases.append(
            {"case": case, "subjects": [{**row, "share": row["median_ns"] / longest * 100} for row in subjects]}
        )
    return cases


def render(result: dict[str, Any]) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = number
    template = environment.get_template("report.html.j2")
    return template.render(result=result, cases=by_case(result["benchmarks"].get("rows", [])))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the page from a report.json.")
    parser.add_argument("json", type=Path, help="what a run wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the page")
    arguments = parser.parse_args()
    arguments.output.write_text(render(json.loads(arguments.json.read_text())))


if __name__ == "__main__":
    main()
