"""Hand-written C compiles without a warning, on whatever compiler and C library this machine has."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parent.parent / "swig").glob("*.c"))
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
HEADERS = Path(sysconfig.get_path("include"), "Python.h")


@pytest.mark.skipif(not SOURCES, reason="the C sources are not beside the tests")
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
@pytest.mark.skipif(not HEADERS.exists(), reason=f"there is no {HEADERS}")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_hand_written_c_has_no_warnings(source, tmp_path):
    command = [COMPILER, "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-c", str(source)]
    command += [f"-I{source.parent}", f"-I{HEADERS.parent}", "-o", str(tmp_path / "object.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
