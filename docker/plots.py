"""The benchmarks' plots: SVG to put into the page, in its own colours, so that dark mode has dark plots."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
import matplotlib.pyplot as pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, StrMethodFormatter

# No window, whatever the machine has.
matplotlib.use("svg")

# What is drawn in one of these becomes the page's variable of that name.
COLOURS = {f"#12340{number}": f"var(--s{number})" for number in range(10)}
INK, LINE = "#123410", "#123411"
COLOURS.update({INK: "var(--ink)", LINE: "var(--line)"})
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
    return f"#12340{order.index(subject) % 10}"


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
    """Draw a line a subject over sizes; both axes are logarithmic, as the numbers span much."""
    with pyplot.rc_context(STYLE):
        figure, axes = empty()
        for subject, points in series.items():
            xs = sorted(points)
            colour = colour_of(subject, list(series))
            axes.plot(xs, [points[x] for x in xs], marker="o", color=colour, label=subject)
        positions = sorted({x for points in series.values() for x in points})
        axes.set_xscale("symlog", base=2, linthresh=16)
        axes.set_yscale("log")
        axes.set_xticks(positions, [f"{x:,.0f}" for x in positions])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(figure, axes, len(series))
        return svg_of(figure)


def tails(series: dict[str, list[tuple[float, float]]], x_label: str, y_label: str) -> str:
    """Draw a line a subject: the share of its calls that took longer than so many nanoseconds. points: (share, ns)."""
    with pyplot.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure, axes = empty()
        for subject, points in series.items():
            colour = colour_of(subject, list(series))
            shown = [(ns, 1 - share) for share, ns in points if share < 1]
            axes.plot(*zip(*shown), color=colour, label=subject)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.tick_params(axis="x", labelrotation=30)
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


def ladder(values: dict[str, float], x_label: str) -> str:
    """Draw a horizontal bar a subject, the fastest on top, each with its number."""
    with pyplot.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure, axes = empty(0.8 + 0.42 * len(values))
        names = sorted(values, key=lambda name: -values[name])
        drawn = axes.barh(
            names, [values[name] for name in names], 0.7, color=[colour_of(name, names) for name in names]
        )
        axes.bar_label(drawn, [f" {values[name]:,.0f}" for name in names])
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlim(min(values.values()) / 2, max(values.values()) * 2)
        axes.set_xlabel(x_label)
        return svg_of(figure)


def legend(figure: Figure, axes: Axes, entries: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(entries, 4))
