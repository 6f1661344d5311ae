"""The benchmarks' plots: SVG to put into the page, in its own colours, so that dark mode has dark plots."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
import matplotlib.pyplot as pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# No window, whatever the machine has.
matplotlib.use("svg")

# What is drawn in one of these becomes the page's variable of that name.
COLOURS = {f"#0000{number:02x}": f"var(--s{number})" for number in range(8)}
INK, LINE, PAPER = "#000101", "#000102", "#000103"
COLOURS.update({INK: "var(--ink)", LINE: "var(--line)", PAPER: "var(--paper)"})
SUBJECTS = ("posix_ipc_swig", "posix_ipc", "C loop", "posix_ipc_swig.raw")

STYLE: Any = {
    "svg.fonttype": "none",
    # The same numbers make the same file.
    "svg.hashsalt": "posix_ipc_swig",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def colour_of(subject: str, subjects: list[str]) -> str:
    """Return a subject's colour: ours, posix_ipc and the C loop have the same in all plots."""
    order = [*SUBJECTS, *sorted(set(subjects) - set(SUBJECTS))]
    return f"#0000{order.index(subject) % 8:02x}"


def svg_of(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in COLOURS.items():
        text = text.replace(colour, variable)
    # Fixed to its size in points, it would be wider than a phone.
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    # Names of clips and markers are the same in every plot of a page: that is one name too many.
    prefix = f"p{abs(hash(text)) % 10**8}-"
    text = re.sub(r'id="', f'id="{prefix}', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}", text)
    return text


def empty(height: float = 3.6) -> tuple[Figure, Axes]:
    figure = pyplot.figure(figsize=(9, height))
    return figure, figure.subplots()


def lines(series: dict[str, dict[float, float]], x_label: str, y_label: str) -> str:
    """Draw a line a subject over sizes, both axes logarithmic where the numbers span much."""
    with pyplot.rc_context(STYLE):
        figure, axes = empty()
        for subject, points in series.items():
            xs = sorted(points)
            colour = colour_of(subject, list(series))
            axes.plot(xs, [points[x] for x in xs], marker="o", color=colour, label=subject)
        positions = sorted({x for points in series.values() for x in points})
        if positions[0] > 0 and positions[-1] / positions[0] >= 8:
            axes.set_xscale("log", base=2)
        axes.set_xticks(positions, [f"{x:,.0f}" for x in positions])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(figure, axes, len(series))
        return svg_of(figure)


def bars(groups: list[str], series: dict[str, list[float | None]], y_label: str) -> str:
    """Draw a bar a subject, peers side by side, in each group."""
    with pyplot.rc_context(STYLE):
        figure, axes = empty()
        width = 0.8 / len(series)
        for number, (subject, values) in enumerate(series.items()):
            where = [group + (number - (len(series) - 1) / 2) * width for group in range(len(groups))]
            heights = [0 if value is None else value for value in values]
            axes.bar(where, heights, width * 0.92, color=colour_of(subject, list(series)), label=subject)
        axes.set_xticks(range(len(groups)), groups)
        if sum(map(len, groups)) > 90:
            axes.tick_params(axis="x", labelrotation=20)
        axes.set_ylabel(y_label)
        legend(figure, axes, len(series))
        return svg_of(figure)


def legend(figure: Figure, axes: Axes, entries: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(entries, 4))
