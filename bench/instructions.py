"""How many instructions a call takes, by valgrind's callgrind: in user space, whatever else the machine does.

As a program, under callgrind: does the work of each case, for each subject, with a mark before and after. A mark is a
call of getpgid(2), at which callgrind writes down what it has counted.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from cases import FLOOR, OURS, PEER, RAW, Case
from subjects import InOneProcess, LeftOut

SUBJECTS = (PEER, OURS, RAW)
WARM_UP, FEW, MANY = 100, 100, 300


def countable(maker: Any) -> bool:
    return isinstance(maker, partial) and maker.func is InOneProcess


def count_instructions(asked: list[tuple[str, Case]], loop: Path | None) -> dict[tuple[str, str], float]:
    """Return (case's name, subject) -> instructions that the work takes once; empty where there is no valgrind.

    asked: modules of questions, by name, and their cases. loop: the program of the C loop.
    """
    if shutil.which("valgrind") is None:
        return {}
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        names = [(module, case.name) for module, case in asked]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [
                *("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/python"),
                *("--dump-before=getpgid", sys.executable, __file__, json.dumps(names)),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LeftOut(f"callgrind ended with status {done.returncode}: {done.stderr[-500:]}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        marks = lines[-1][2] + 2 if lines else 0
        if len(list(Path(folder).glob("python.*"))) != marks:
            raise LeftOut("callgrind did not see each mark: this C library has no function getpgid")
        for name, subject, first in lines:
            few, many = (total(Path(folder, f"python.{part}")) for part in (first + 1, first + 2))
            counts[name, subject] = round((many - few) / (MANY - FEW), 1)
        if loop is not None:
            for _, case in asked:
                counts[case.name, FLOOR] = count_loop(loop, case, Path(folder, "loop"))
    return counts


def count_loop(loop: Path, case: Case, out: Path) -> float:
    numbers = (case.size, case.max_messages, case.max_message_size, case.timeout or 0)
    totals = []
    for times in (1600, 3200):  # it does a sixteenth more to warm up
        subprocess.run(
            [
                *("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", str(loop)),
                *(case.work, *map(str, numbers)),
            ],
            input=f"{times}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        totals.append(total(out))
    return round((totals[1] - totals[0]) / 1700, 1)


def total(dump: Path) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    if found is None:
        raise LeftOut(f"callgrind wrote no total to {dump.name}")
    return int(found[1])


def main() -> None:
    """Tell, a line each: case, subject, and the number of the dump that ends before its work."""
    dumps = 0

    def mark() -> None:
        nonlocal dumps
        os.getpgid(0)
        dumps += 1

    for module, name in json.loads(sys.argv[1]):
        question = importlib.import_module(module)
        case = next(case for case in question.CASES if case.name == name)
        for subject in SUBJECTS:
            maker = question.SUBJECTS.get(subject)
            if not countable(maker):
                continue
            with suppress(ImportError, OSError, LeftOut):
                one = maker(case)
                one.round(WARM_UP)
                mark()
                first = dumps
                for times in (FEW, MANY):
                    one.round(times)
                    mark()
                one.close()
                print(json.dumps([name, subject, first]), flush=True)


if __name__ == "__main__":
    main()
