"""The package: what is installed, what an import costs, and what it says where it cannot work."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest

import posix_ipc_swig

PACKAGE = Path(posix_ipc_swig.__file__).parent


def test_the_tests_run_against_the_installed_package():
    source = Path(__file__).resolve().parent.parent
    assert source not in PACKAGE.parents or "site-packages" in PACKAGE.parts


def test_nothing_is_installed_but_what_runs():
    suffixes = {path.suffix for path in importlib.metadata.files("posix_ipc_swig") if path.parts[0] == "posix_ipc_swig"}
    assert suffixes <= {".py", ".pyi", ".so", ".typed", ".pyc", ""}


def test_nothing_but_the_package_is_installed():
    files = importlib.metadata.files("posix_ipc_swig")
    assert {file.parts[0].split("-")[0] for file in files if file.parts[0] != ".."} == {"posix_ipc_swig"}


def test_the_package_needs_no_other():
    requires = importlib.metadata.requires("posix_ipc_swig") or []
    assert [requirement for requirement in requires if "extra ==" not in requirement] == []


def test_an_import_brings_in_little_and_nothing_beyond_the_standard_library(run_python):
    output = run_python(
        """
        import sys
        before = set(sys.modules)
        import posix_ipc_swig
        for name in set(sys.modules) - before:
            print(name, getattr(sys.modules[name], "__file__", None))
        """
    )
    came = dict(line.split(maxsplit=1) for line in output.splitlines())
    others = {name: file for name, file in came.items() if name.split(".")[0] != "posix_ipc_swig"}
    # SWIG keeps its table of types in a module without a file.
    assert [name for name, file in others.items() if "site-packages" in file] == []
    # Their import alone would cost more than the 3 ms that the whole may.
    costly = {"asyncio", "ctypes", "multiprocessing", "re", "signal", "socket", "subprocess", "threading", "typing"}
    assert costly.isdisjoint(others)
    assert len(others) <= 8, others


@pytest.fixture
def unbuilt(tmp_path):
    """A folder with the package as it is in the source tree: nothing is built."""
    shutil.copytree(PACKAGE, tmp_path / "posix_ipc_swig", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tmp_path


FROM_HERE = "import os, sys\nsys.path.insert(0, os.getcwd())\n"


@pytest.mark.parametrize("module", ["posix_ipc_swig", "posix_ipc_swig.raw", "posix_ipc_swig.queue"])
def test_an_import_from_the_unbuilt_source_tree_says_what_to_do(unbuilt, run_python, module):
    output = run_python(
        FROM_HERE
        + f"""
try:
    import {module}
except ImportError as error:
    print(error)
"""
    )
    assert "pip install" in output
    assert "source tree" in output


def test_a_platform_without_queues_can_import_the_package(unbuilt, run_python):
    run_python(
        FROM_HERE
        + """
sys.platform = "darwin"
import posix_ipc_swig
from posix_ipc_swig import *

assert os.path.dirname(posix_ipc_swig.__file__) == os.path.join(os.getcwd(), "posix_ipc_swig")
assert posix_ipc_swig.MESSAGE_QUEUES_SUPPORTED is False
for attempt in (
    lambda: posix_ipc_swig.MessageQueue("/name"),
    lambda: posix_ipc_swig.MessageQueue(None, posix_ipc_swig.O_CREX, max_messages=1, max_message_size=1),
    lambda: posix_ipc_swig.unlink_message_queue("/name"),
):
    try:
        attempt()
    except NotImplementedError as error:
        assert "darwin" in str(error) and "message queues" in str(error), error
    else:
        raise AssertionError("it went on")
for name in posix_ipc_swig.__all__:
    getattr(posix_ipc_swig, name)
assert issubclass(posix_ipc_swig.BusyError, OSError)
assert posix_ipc_swig.QUEUE_MESSAGES_MAX_DEFAULT > 0
"""
    )
