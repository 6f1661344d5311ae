"""The table of targets: what is asked of posix_ipc_swig, and what was measured."""

from __future__ import annotations

from typing import Any

MISSED = "MISSED"
HEADER = ("case", "to posix_ipc", "target", "to the floor", "target", "")


def target_rows(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table's lines, cell by cell, of results that have a target. rows: extra_info of each."""
    lines = []
    for row in rows:
        if "target_row" not in row:
            continue
        cells = [row["target_row"]]
        missed = False
        for measured, target in (("ratio_to_posix_ipc", "target_to_peer"), ("ratio_to_floor", "target_to_floor")):
            value, limit = row.get(measured), row.get(target)
            cells += ["-" if value is None else f"{value:.3f}", "" if limit is None else f"{limit:.2f}"]
            missed |= limit is not None and (value is None or value > limit)
        if "target_over_floor" in row:
            over, limit = row.get("over_floor_ns"), row["target_over_floor"]
            cells[3:5] = ["-" if over is None else f"{over * 1e-6:.2f} ms over", f"{limit * 1e3:.0f} ms over"]
            missed = over is None or over * 1e-9 > limit
        lines.append((*cells, MISSED if missed else "reached"))
    return lines


def target_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table as text; empty where nothing has a target."""
    table = target_rows(rows)
    if not table:
        return []
    widths = [max(len(line[column]) for line in [HEADER, *table]) for column in range(len(HEADER))]

    def text(cells: tuple[str, ...]) -> str:
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        )
        return "  ".join([first, *rest]).rstrip()

    missed = sum(line[-1] == MISSED for line in table)
    return [
        "",
        "Targets of posix_ipc_swig: medians of the ratios of rounds that ran side by side",
        text(HEADER),
        *map(text, table),
        f"{len(table) - missed} of {len(table)} reached",
    ]
