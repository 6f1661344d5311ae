"""Fixtures: a report with one cell of each kind, a page made of it, and Chromium."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import report
import results
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent

SYSTEM = {
    "distribution": "Debian GNU/Linux 13 (trixie)",
    "kernel": "Linux 6.1",
    "machine": "x86_64",
    "processor": "a processor, 2 logical",
    "c_library": "glibc 2.41",
    "compiler": "cc 14.2.0",
    "python": "CPython 3.13.5",
    "free_threaded": False,
    "user": "uid 20000",
    "cap_sys_resource": False,
}


def finding(found):
    return {
        "limit": "fs.mqueue.msg_max",
        "meaning": "messages that a queue may be made for",
        "unit": "messages",
        "predicted": 10,
        "found": found,
        "note": "",
        "verdict": "passed" if found == 10 else "failed",
    }


def bench_rows(factor):
    return [
        {
            "case": f"{size} bytes, one process",
            "question": "one process",
            "subject": subject,
            "version": "1.0",
            "size": size,
            "timeout": None,
            "ratio_to_floor": factor * number,
            "ratio_to_posix_ipc": number / 3,
            "min_ns": 100.0,
            "q1_ns": 110.0,
            "median_ns": 120.0 * number * factor + size,
            "q3_ns": 400.0,
            "max_ns": 500.0,
            "rounds": 20,
            **(
                {"calls": 2000, "spread_ns": [[0.5, 120], [0.9, 400 * number], [0.99, 900], [1.0, 9000]]}
                if size == 64
                else {}
            ),
        }
        for size in (64, 4096)
        for number, subject in enumerate(("C loop", "posix_ipc_swig", "posix_ipc"), 1)
    ]


def make_cell(distro, profile, jobs, **others):
    return {
        "distro": distro,
        "profile": profile,
        "verdict": "not run",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
        "system": SYSTEM,
        "asked": {
            "sysctls": {"fs.mqueue.msg_max": 10},
            "ulimits": {"msgqueue": 819200},
            "user": "tester",
            "cap_drop": ["ALL"],
            "cap_add": [],
            "security_opt": [],
        },
        "given": {"sysctls": {"fs.mqueue.msg_max": 10}, "msgqueue": [819200, 819200], "capabilities": "0x0"},
        "raised": False,
        "jobs": jobs,
        "log": f"logs/{distro}-{profile}.log",
        **others,
    }


@pytest.fixture
def junit(tmp_path):
    path = tmp_path / "junit.xml"
    shutil.copy(HERE / "junit.xml", path)
    return path


@pytest.fixture
def sample(junit):
    """A report: a cell that passed, one that failed, one that did not run, interop, rules, faults, a soak."""
    failing = results.tests_of([results.tests_of_python("3.13", junit, 1)])
    passing, also_failing = copy.deepcopy(failing), copy.deepcopy(failing)
    for python in passing["pythons"]:
        python.update(verdict="passed", failed=0, topics=[one for one in python["topics"] if not one["failed"]])
        python["rules"]["mq_open.2"] = "passed"
    passing.update(verdict="passed", failed=0)

    def bench(factor):
        return {"verdict": "passed", "rows": bench_rows(factor), "left_out": ["pyzmq is not installed"]}

    side = {
        "system": SYSTEM,
        "messages": 10_000,
        "bytes": 990_000,
        "seconds": 0.2,
        "full_queue_in_order": True,
        "notified_by": ["signal", "thread"],
    }
    good, bad = results.limits_of([finding(10)]), results.limits_of([finding(9)])
    cells = [
        make_cell("debian-11", "default", {"limits": good, "tests": passing, "bench": bench(1.0)}),
        make_cell("debian-11", "user", {"limits": bad, "tests": failing}, log_tail="E   the <failure>\nend of the log"),
        make_cell(
            "debian-13", "default", {"limits": good, "tests": also_failing, "bench": bench(1.5)}, log_tail="again"
        ),
        make_cell("debian-13", "user", {}, system={}, reason="debian:13 is not here: docker pull debian:13"),
        make_cell(
            "debian-11",
            "default",
            {"interop": {"verdict": "passed", "sides": [{"side": "first", **side}, {"side": "second", **side}]}},
            other="debian-13",
        ),
    ]
    return results.finish(
        {
            "schema_version": results.SCHEMA_VERSION,
            "version": "0.1.0",
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 100.0,
            "quick": False,
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "changed": False,
            "checkout": "abcdef012345",
            "machines": [
                {
                    "engine": "Docker 20.10",
                    "kernel": "Linux 6.1",
                    "machine": "x86_64",
                    "system": "Debian GNU/Linux 12",
                    "processors": 2,
                    "memory_bytes": 1,
                    "storage": "overlay2",
                    "cgroups": "2",
                }
            ],
            "distros": {
                "debian-11": {"title": "Debian 11 (bullseye)", "base": "debian:11", "libc": "glibc"},
                "debian-13": {"title": "Debian 13 (trixie)", "base": "debian:13", "libc": "glibc"},
            },
            "profiles": {"default": {"title": "the defaults"}, "user": {"title": "no capability"}},
            "cells": cells,
            "rules": [
                {"id": "mq_open.1", "text": "It opens.", "source": "POSIX", "test": "test_mq_open.py::test_it"},
                {"id": "mq_open.2", "text": "It holds.", "source": "POSIX", "test": "test_mq_open.py::test_it"},
                {"id": "mq_open.3", "text": "Never seen.", "source": "POSIX", "reason": "no way to bring it about"},
                {
                    "id": "mqueue_h.3",
                    "text": "It is there.",
                    "source": "POSIX",
                    "test": "test_mqueue_h.py::test_header",
                },
            ],
            "soak": {"seed": 7, "minutes": 10, "messages": 123_456, "losses": 0, "faults": {"kill": 12, "fork": 3}},
        }
    )


@pytest.fixture
def folder(sample, tmp_path):
    """A folder with the sample's report.json, index.html and logs."""
    output = tmp_path / "report"
    report.write(sample, output)
    output.joinpath("logs").mkdir()
    for cell in sample["cells"]:
        output.joinpath(cell["log"]).write_text("the whole log\n")
    return output


@pytest.fixture(scope="session")
def chromium():
    """The Chromium that is installed, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        # Its sandbox needs privileges that containers and root do not have; the page is our own file.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open a page in light or dark, wide or narrow; a message of the console or an error fails the test."""
    contexts, complaints = [], []

    def open_page(path: Path, width=1280, dark=False, fragment=""):
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url}"))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
