"""Compare two saved runs by their ratios to the floor, so that runs on different machines compare.

    compare.py [OLD NEW]

Without arguments, the two newest in .benchmarks/. A ratio that changed by more than a tenth is flagged; so is a count
of instructions that changed by more than a fiftieth, which depends on no machine's load. Exit status: 1 when something
of posix_ipc_swig got slower, 0 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

SAVED = Path(__file__).resolve().parent.parent / ".benchmarks"
LIMITS = {"ratio_to_floor": 0.10, "instructions": 0.02}
OURS = ("posix_ipc_swig", "posix_ipc_swig.raw")


def rows_of(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    benchmarks = json.loads(path.read_text())["benchmarks"]
    return {(one["group"], one["extra_info"]["subject"]): one["extra_info"] for one in benchmarks}


def changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, float]:
    """Return what changed by how much: 0.1 is a tenth more."""
    return {key: new[key] / old[key] - 1 for key in LIMITS if old.get(key) and new.get(key)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="two saved runs, the old one first")
    files = parser.parse_args().files or sorted(SAVED.glob("*.json"))[-2:]
    if len(files) != 2:
        parser.error(f"two saved runs are needed; {SAVED} has {len(files)}")
    old, new = (rows_of(path) for path in files)
    print(f"old: {files[0]}\nnew: {files[1]}\n")
    width = max((len(f"{case}, {subject}") for case, subject in new), default=0)
    slower = 0
    for case, subject in new:
        if (case, subject) not in old:
            print(f"{f'{case}, {subject}'.ljust(width)}  only in the new run")
            continue
        before, after = old[case, subject], new[case, subject]
        text = f"{case}, {subject}".ljust(width)
        for key, change in changes(before, after).items():
            flag = "" if abs(change) <= LIMITS[key] else "  SLOWER" if change > 0 else "  faster"
            text += f"  {key.replace('_', ' ')} {before[key]:g} -> {after[key]:g} ({change:+.1%}){flag}"
            slower += bool(flag) and change > 0 and subject in OURS
        print(text)
    for case, subject in old.keys() - new.keys():
        print(f"{f'{case}, {subject}'.ljust(width)}  only in the old run")
    print(f"\nposix_ipc_swig and its raw bindings: {slower or 'nothing'} slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
