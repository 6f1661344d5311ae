"""Build the extension with sanitizers and run the tests under them; then valgrind's memcheck over a short run.

    python .ci/sanitize.py FOLDER address|thread|valgrind [pytest arguments]

Run by tox, in its environment: the wheel built here takes the place of the package. FOLDER is for what is built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = {
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=all",
    "thread": "-fsanitize=thread",
    "valgrind": "",
}
# What says nothing about the extension as it is built here: tools that run compilers and type checkers of their own,
# and the largest queues, whose creation takes longer under a sanitizer than the tests wait.
NOT_HERE = "not test_c_sources and not typing and not packaging and not (test_limits and high)"
LEFT_OUT = {
    "address": NOT_HERE,
    "thread": NOT_HERE,
    "valgrind": "",
}


def compiler() -> str:
    for name in (os.environ.get("CC", ""), "gcc", "clang"):
        if name and shutil.which(name):
            return name
    sys.exit("no C compiler: install gcc or clang")


def runtime(name: str) -> str:
    """The sanitizer's library, which must be loaded before Python's own allocations."""
    path = subprocess.run([compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    if not os.path.isabs(path.strip()):
        sys.exit(f"{compiler()} has no {name}: install its sanitizer libraries")
    return path.strip()


def build(kind: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    environment = os.environ | {
        "CC": compiler(),
        "CFLAGS": f"-g -O1 -fno-omit-frame-pointer {FLAGS[kind]}",
        "LDFLAGS": FLAGS[kind],
    }
    # A copy: objects that another build left in the source tree have other flags.
    source = folder / "source"
    keep = (
        "swig",
        "posix_ipc_swig",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "MANIFEST.in",
        "CHANGELOG.md",
        "tox.ini",
    )
    for name in keep:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name)
        else:
            shutil.copy(place, source / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(source)]
    subprocess.run(command, env=environment, check=True)


def main() -> None:
    folder, kind, *arguments = sys.argv[1:]
    build(kind, Path(folder, kind))
    environment = os.environ | {"PYTHONMALLOC": "malloc", "PYTHONDEVMODE": "0"}
    # The script: `-m pytest` would put the source tree, where nothing is built, on the path.
    pytest = [str(Path(sys.executable).with_name("pytest")), "-p", "no:cacheprovider", "-p", "no:faulthandler"]
    if kind == "valgrind":
        if shutil.which("valgrind") is None:
            sys.exit("valgrind is not installed")
        # With PYTHONMALLOC=malloc all memory is seen; leaks are not looked for: Python keeps objects to its end.
        command = ["valgrind", "--error-exitcode=99", "--quiet", "--leak-check=no", "--track-fds=no"]
        command += [f"--suppressions={ROOT / '.ci' / 'valgrind.supp'}", sys.executable, "-X", "faulthandler"]
        command += [str(ROOT / "tests" / "memcheck.py")]
    else:
        name = {"address": "libasan.so", "thread": "libtsan.so"}[kind]
        environment["LD_PRELOAD"] = runtime(name)
        # Python keeps objects to its end: leaks are for tests/faults/test_resources.py.
        environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        environment["TSAN_OPTIONS"] = f"exitcode=66:suppressions={ROOT / '.ci' / 'tsan.supp'}"
        command = [*pytest, "-k", LEFT_OUT[kind], *(arguments or ["-q", "-n", "auto"])]
    print(*command, flush=True)
    sys.exit(subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
