"""The live table: what a person sees of more cells than a screen has lines."""

from __future__ import annotations

import io

import pytest
from board import Board
from rich.console import Console

HEIGHT = 24


def board_of(count, width=100):
    console = Console(file=io.StringIO(), width=width, height=HEIGHT, force_terminal=True, color_system=None)
    return Board(console, [(f"distro-{number}", "default") for number in range(count)])


def lines_of(board, renderable):
    with board.console.capture() as capture:
        board.console.print(renderable)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 200])
def test_what_runs_is_on_the_screen_whatever_else_there_is(width):
    board = board_of(120, width)
    for number in range(50):
        board.begin((f"distro-{number}", "default"))
        board.end((f"distro-{number}", "default"), "failed" if number == 7 else "passed", "limits agree " * 9)
    for number in (110, 119):
        board.begin((f"distro-{number}", "default"))
        board.step((f"distro-{number}", "default"), "tests 3.13")
    lines = lines_of(board, board.screenful())
    assert len(lines) < HEIGHT
    names = [word for line in lines for word in line.split() if word.startswith("distro-")]
    assert names[:3] == ["distro-110", "distro-119", "distro-7"]
    assert "49 passed" in "".join(lines)
    assert "50 of 120 cells" in lines[0]
    # And all of them in the end.
    assert all(f"distro-{number} " in "".join(lines_of(board, board)) for number in range(120))


def test_a_board_that_fits_keeps_its_order():
    board = board_of(12)
    board.begin(("distro-11", "default"))
    names = [word for line in lines_of(board, board.screenful()) for word in line.split() if word.startswith("distro-")]
    assert names == [f"distro-{number}" for number in range(12)]


def test_a_cell_that_waits_for_its_benchmarks_is_not_done():
    board = board_of(1)
    board.begin(("distro-0", "default"))
    board.end(("distro-0", "default"), "", "limits agree")
    text = "".join(lines_of(board, board.screenful()))
    assert "0 of 1 cells" in text
    assert "waits" in text
