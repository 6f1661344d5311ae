"""Check the layout of hand-written C, wherever it lies: clang-format changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    sources = sorted(path for folder in ("swig", "bench", "tests") for path in ROOT.joinpath(folder).rglob("*.[ch]"))
    command = ["clang-format", "--dry-run", "--Werror", *map(str, sources)]
    print(f"clang-format: {len(sources)} files")
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
