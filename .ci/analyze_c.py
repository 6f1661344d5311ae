"""Analyze hand-written C: clang-tidy, and gcc's -fanalyzer where gcc is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Bugs and undefined behaviour. Left out: what asks for C11's Annex K, which glibc has not; what dislikes assignments to
# several variables in one line or parameters of one type side by side, which is style.
CHECKS = (
    "-*,bugprone-*,clang-analyzer-*,cert-*,-bugprone-easily-swappable-parameters,-bugprone-signed-bitwise,-bugprone-narrowing-conversions,-bugprone-assignment-in-if-condition,"
    "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-bugprone-multi-level-implicit-pointer-conversion"
)


def main() -> None:
    sources = sorted(ROOT.joinpath("swig").glob("*.c"))
    include = [f"-I{ROOT / 'swig'}", f"-isystem{sysconfig.get_path('include')}"]
    failed = 0
    for source in sources:
        command = ["clang-tidy", "--quiet", f"--checks={CHECKS}", "--warnings-as-errors=*", str(source), "--"]
        failed += subprocess.run([*command, "-std=gnu11", *include], check=False).returncode != 0
    print(f"clang-tidy: {len(sources)} files")
    if shutil.which("gcc"):
        for source in sources:
            command = ["gcc", "-fanalyzer", "-Wall", "-Wextra", "-Werror", "-O2", "-std=gnu11", "-c", "-o", "/dev/null"]
            failed += subprocess.run([*command, *include, str(source)], check=False).returncode != 0
        print(f"gcc -fanalyzer: {len(sources)} files")
    else:
        print("gcc -fanalyzer: not run, gcc is not installed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
