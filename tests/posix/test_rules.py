"""The table of rules itself: it is complete, and it and the tests agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
# How many topics the Open POSIX Test Suite lists for each: none may be missing.
TOPICS = {
    "mq_open": 30,
    "mq_close": 5,
    "mq_unlink": 7,
    "mq_send": 14,
    "mq_timedsend": 20,
    "mq_receive": 14,
    "mq_timedreceive": 19,
    "mq_notify": 9,
    "mq_getattr": 7,
    "mq_setattr": 5,
}


@pytest.fixture(scope="module")
def named():
    """The tests of this folder, each with the rules that it names: read, so that it does not matter which ones run."""
    found = {}
    for path in FOLDER.glob("test_*.py"):
        for function in ast.parse(path.read_text("utf-8")).body:
            for decorator in getattr(function, "decorator_list", ()):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "rule":
                    found[f"{path.name}::{function.name}"] = [argument.value for argument in decorator.args]
    return found


def test_every_rule_has_a_test_or_a_reason_why_none_can(rules):
    for rule in rules:
        assert ("test" in rule) != ("reason" in rule), rule["id"]
        assert set(rule) <= {"id", "text", "source", "test", "reason", "linux", "glibc", "musl"}, rule["id"]
        for value in rule.values():
            assert value.strip() == value != "", rule["id"]


def test_every_rule_has_the_test_that_it_says(rules, named):
    for rule in rules:
        if "test" in rule:
            assert rule["id"] in named[rule["test"]]


def test_every_test_names_rules_that_are_in_the_table(rules, named):
    tests = {rule["id"]: rule.get("test") for rule in rules}
    for test, ids in named.items():
        for rule in ids:
            assert tests[rule] == test


def test_every_test_of_this_folder_names_a_rule(named):
    for path in FOLDER.glob("test_mq*.py"):
        for function in ast.parse(path.read_text("utf-8")).body:
            if isinstance(function, ast.FunctionDef) and function.name.startswith("test"):
                assert f"{path.name}::{function.name}" in named


def test_numbers_begin_at_one_and_none_is_left_out(rules):
    assert len({rule["id"] for rule in rules}) == len(rules)
    numbers = {}
    for rule in rules:
        function, number = re.fullmatch(r"(mq\w+)\.(\d+)", rule["id"]).groups()
        numbers.setdefault(function, []).append(int(number))
    for function, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), function
        assert len(found) >= TOPICS.get(function, 1)
    assert set(numbers) == {*TOPICS, "mqueue_h", "mq_overview"}


def test_no_rule_is_there_twice(rules):
    texts = Counter((rule["id"].split(".")[0], rule["text"]) for rule in rules)
    assert [text for text, times in texts.items() if times > 1] == []


def test_a_rule_is_found_by_its_id():
    """That rule, and not those whose numbers begin with the same digits."""
    command = [sys.executable, "-I", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(FOLDER)]
    result = subprocess.run([*command, "-k", "mq_open.1 or mq_close.2"], capture_output=True, text=True)
    found = re.findall(r"\[(?:.*-)?(.*)\]$", result.stdout, re.MULTILINE)
    assert sorted(found) == ["mq_close.2", "mq_open.1"], result.stdout
