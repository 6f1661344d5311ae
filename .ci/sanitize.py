"""Build the extension with sanitizers and run the tests under them; then valgrind's memcheck over a short run.

    python .ci/sanitize.py FOLDER address|thread|valgrind [--allow-missing] [pytest arguments]

Run by tox, in its environment: the wheel built here takes the place of the package. FOLDER is for what is built.

ThreadSanitizer has to see the interpreter's locks, so it needs a CPython that is built with it. TSAN_PYTHON names one,
made from CPython's source by
    CC=clang ./configure --disable-gil --with-thread-sanitizer --with-ensurepip=install && make && make install
It gets an environment of its own, in FOLDER. Where it or valgrind is missing, that part says that it is not run, and
fails, but for --allow-missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

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
    # The C library's own threads for SIGEV_THREAD: ThreadSanitizer does not know them, and at times stops at a check of
    # its own (tsan_interceptors_posix.cpp). Signals: it holds one back until the next call that it intercepts, and a
    # wait in the kernel that was interrupted and goes on is none.
    "thread": "not raw and not signal and not handler and not storm and not ctrl_c",
    "valgrind": "",
}
ALLOW_MISSING = "--allow-missing"
# What threads of one process share; a run takes minutes.
THREADS = (
    *(f"tests/faults/test_{topic}.py" for topic in ("threads", "listening", "notification", "forks", "resources")),
    *(f"tests/test_{topic}.py" for topic in ("threads", "closing", "batches")),
)


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


def build(kind: str, folder: Path, python: str = sys.executable, cc: str = "") -> None:
    shutil.rmtree(folder, ignore_errors=True)
    environment = os.environ | {
        "CC": cc or compiler(),
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
    command = [python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(source)]
    subprocess.run(command, env=environment, check=True)


def not_run(what: str, reason: str) -> NoReturn:
    print(f"{what}: not run: {reason}", flush=True)
    sys.exit(0 if ALLOW_MISSING in sys.argv else 1)


def thread_python(folder: Path) -> tuple[str, str]:
    """An environment of TSAN_PYTHON with what the tests need: its Python, and the compiler that made it."""
    base = os.environ.get("TSAN_PYTHON")
    if not base or not shutil.which(base):
        not_run("ThreadSanitizer", "TSAN_PYTHON names no CPython that is built with it (see .ci/sanitize.py)")
    ask = "import sysconfig; print(sysconfig.get_config_var('CFLAGS')); print(sysconfig.get_config_var('CC'))"
    told = subprocess.run([base, "-I", "-c", ask], capture_output=True, text=True, check=True).stdout.splitlines()
    if "-fsanitize=thread" not in told[0]:
        sys.exit(f"{base} is not built with ThreadSanitizer (./configure --with-thread-sanitizer)")
    os.environ["TSAN_OPTIONS"] = "report_bugs=0"  # installing is not what is looked at
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        # The newest hypothesis that needs no Rust toolchain where there is no wheel.
        needed = ("pytest>=8", "pytest-timeout", "pytest-xdist", "hypothesis<6.140")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *needed], check=True)
    return str(python), told[1].split()[0]


def main() -> None:
    folder, kind, *arguments = (argument for argument in sys.argv[1:] if argument != ALLOW_MISSING)
    python, cc = thread_python(Path(folder, "thread-python")) if kind == "thread" else (sys.executable, "")
    build(kind, Path(folder, kind), python, cc)
    environment = os.environ | {"PYTHONDEVMODE": "0"}
    if kind != "thread":  # free-threaded CPython has one allocator only
        environment["PYTHONMALLOC"] = "malloc"
    # The script: `-m pytest` would put the source tree, where nothing is built, on the path.
    pytest = [str(Path(python).with_name("pytest")), "-p", "no:cacheprovider", "-p", "no:faulthandler"]
    if kind == "valgrind":
        if shutil.which("valgrind") is None:
            not_run("valgrind", "it is not installed")
        # With PYTHONMALLOC=malloc all memory is seen; leaks are not looked for: Python keeps objects to its end.
        command = ["valgrind", "--error-exitcode=99", "--quiet", "--leak-check=no", "--track-fds=no"]
        command += [f"--suppressions={ROOT / '.ci' / 'valgrind.supp'}", sys.executable, "-X", "faulthandler"]
        command += [str(ROOT / "tests" / "memcheck.py")]
    elif kind == "thread":
        # Children of a fork may start threads: the tests do, and so do programs.
        environment["TSAN_OPTIONS"] = f"exitcode=66:die_after_fork=0:suppressions={ROOT / '.ci' / 'tsan.supp'}"
        command = [*pytest, "-k", LEFT_OUT[kind], *(arguments or ["-q", "-n", "2", "--timeout", "900", *THREADS])]
    else:
        environment["LD_PRELOAD"] = runtime("libasan.so")
        # Python keeps objects to its end: leaks are for tests/faults/test_resources.py.
        environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        command = [*pytest, "-k", LEFT_OUT[kind], *(arguments or ["-q", "-n", "auto"])]
    print(*command, flush=True)
    sys.exit(subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
