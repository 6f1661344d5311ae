"""What a run found as data: JUnit read, reports merged, the schema kept."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
import report
import results
import tables

SCHEMA = json.loads(tables.HERE.joinpath("schema.json").read_text())


def check(document):
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(
        document
    )


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_report_keeps_to_the_schema(sample):
    check(json.loads(json.dumps(sample)))


def test_a_report_that_does_not_keep_to_it_is_seen(sample):
    sample["cells"][0]["verdict"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        check(sample)


def test_junit_by_topic(junit):
    found = results.tests_of_python("3.13", junit, 1)
    assert (found["verdict"], found["passed"], found["failed"], found["skipped"]) == ("failed", 3, 2, 2)
    names = next(topic for topic in found["topics"] if topic["topic"] == "names")
    assert (names["passed"], names["failed"], names["seconds"]) == (1, 1, 0.75)
    assert names["failures"] == [{"test": "test_short", "text": "the <failure>"}]
    typing = next(topic for topic in found["topics"] if topic["topic"] == "typing")
    assert (typing["verdict"], typing["skips"]) == ("skipped", {"mypy is not installed": 1})
    assert {topic["group"] for topic in found["topics"]} == {"", "posix", "faults"}


def test_junit_by_rule_and_by_fault(junit):
    found = results.tests_of_python("3.13", junit, 1)
    assert found["rules"] == {"mq_open.1": "passed", "mq_open.2": "failed", "mqueue_h.3": "skipped"}
    assert found["faults"] == [{"topic": "killed", "test": "test_a_writer_is_killed", "verdict": "passed"}]


def test_tests_that_leave_no_junit_have_failed():
    assert results.tests_of_python("3.13", None, 1)["verdict"] == "failed"


def test_an_exit_status_fails_even_where_no_test_did(junit):
    junit.write_text('<testsuite><testcase classname="tests.test_a" name="test_b" time="0"/></testsuite>')
    assert results.tests_of_python("3.13", junit, 0)["verdict"] == "passed"
    assert results.tests_of_python("3.13", junit, 3)["verdict"] == "failed"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["passed", "skipped"], "passed"),
        (["not run"], "not run"),
        ([], "not run"),
    ],
)
def test_a_verdict_of_several(verdicts, expected):
    assert results.verdict_of(verdicts) == expected


def test_a_report_passes_only_when_every_cell_has(sample):
    sample["cells"] = [cell for cell in sample["cells"] if cell["verdict"] == "passed"]
    assert results.finish(sample)["verdict"] == "passed"
    sample["cells"].append({"verdict": "not run", "reason": "no image", "jobs": {}})
    assert results.finish(sample)["verdict"] == "not run"


def test_a_planned_job_that_is_absent_is_no_pass(sample):
    cell = sample["cells"][0]
    assert cell["verdict"] == "passed"
    cell["planned"] = ["limits", "tests", "bench"]
    assert results.finish(sample)["cells"][0]["verdict"] == "passed"
    cell["planned"].append("interop")
    assert results.finish(sample)["cells"][0]["verdict"] == "not run"
    assert "interop not run" in report.figures_of(cell)
    check(json.loads(json.dumps(sample)))
    cell["jobs"]["limits"]["verdict"] = "failed"
    assert results.finish(sample)["cells"][0]["verdict"] == "failed"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([], "not run"), (["not run", "not run"], "not run"), (["not run", "passed"], "passed"), (["failed"], "failed")],
)
def test_limits_of_which_none_was_found_do_not_agree(sample, verdicts, expected):
    limits = results.limits_of([{"verdict": verdict} for verdict in verdicts])
    assert limits["verdict"] == expected
    # Nor does a cell that was to find them pass by its tests alone.
    cell = sample["cells"][0]
    cell.update(planned=["limits", "tests"])
    cell["jobs"]["limits"] = limits
    assert results.finish(sample)["cells"][0]["verdict"] == expected


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (["C loop", "posix_ipc_swig", "posix_ipc"], "passed"),
        (["posix_ipc_swig"], "passed"),
        (["C loop", "posix_ipc"], "failed"),
        (["C loop"], "failed"),
        (["posix_ipc_swig", "multiprocessing.Pipe"], "passed"),
        ([], "failed"),
    ],
)
def test_benchmarks_of_others_alone_have_failed(tmp_path, subjects, expected):
    saved = tmp_path / "bench.json"
    times = dict.fromkeys(("min", "q1", "median", "q3", "max"), 1e-6)
    measured = [("64 bytes", subject) for subject in subjects]
    measured += [("4096 bytes", "multiprocessing.Pipe"), ("64 bytes more", "posix_ipc_swig")] if subjects else []
    benchmarks = [
        {"group": case, "extra_info": {"subject": subject}, "stats": {**times, "rounds": 3}}
        for case, subject in measured
    ]
    saved.write_text(json.dumps({"benchmarks": benchmarks}))
    found = results.bench_of(saved, 0, "")
    assert found["verdict"] == expected
    assert any("64 bytes: others" in line for line in found["left_out"]) == (expected == "failed" and bool(subjects))


def test_messages_of_no_bytes_are_plotted(sample):
    rows = sample["cells"][0]["jobs"]["bench"]["rows"]
    rows += [{**row, "size": 0, "max_message_size": 1} for row in rows if row["size"] == 64]
    (figure,) = report.by_size(rows, "here")
    assert [row["name"] for row in figure["rows"]] == ["0", "64", "4,096"]


def test_the_python_that_was_measured_is_told(sample, tmp_path):
    saved = tmp_path / "bench.json"
    saved.write_text(json.dumps({"machine_info": {"python_version": "3.14.1"}, "benchmarks": []}))
    assert results.bench_of(saved, 0, "")["python"] == "3.14.1"
    for number, version in ((0, "3.9.2"), (2, "3.13.5")):
        sample["cells"][number]["jobs"]["bench"]["python"] = version
    check(json.loads(json.dumps(sample)))
    page = report.render(sample)
    assert "default, Python 3.9.2 and 3.13.5; lower is better" in page
    assert "first Python" not in page
    assert "<dt>benchmarks, Python</dt><dd>3.13.5</dd>" in page


def other_machine(sample):
    other = copy.deepcopy(sample)
    other["started"] = "2026-01-03T03:04:05+00:00"
    other["machines"][0]["kernel"] = "Linux 6.18"
    return other


def test_reports_of_two_machines_merge_into_one(sample):
    other = other_machine(sample)
    half, rest = copy.deepcopy(sample), other
    half["cells"] = half["cells"][:2]
    rest["cells"] = rest["cells"][2:]
    merged = results.merge([rest, half])
    check(json.loads(json.dumps(merged)))
    assert {results.key_of(cell) for cell in merged["cells"]} == {results.key_of(cell) for cell in sample["cells"]}
    assert [machine["kernel"] for machine in merged["machines"]] == ["Linux 6.1", "Linux 6.18"]
    assert merged["seconds"] == 200.0


def test_the_later_run_of_a_cell_counts(sample):
    other = other_machine(sample)
    cell = other["cells"][1]
    cell["jobs"]["tests"]["pythons"][0].update(verdict="passed", failed=0)
    cell["jobs"]["tests"].update(verdict="passed", failed=0)
    cell["jobs"]["limits"] = sample["cells"][0]["jobs"]["limits"]
    other["cells"] = [cell]
    merged = results.merge([other, sample])
    assert results.finish(merged)["cells"][1]["verdict"] == "passed"


def test_a_cell_that_was_made_good_says_nothing_of_the_failure(sample):
    sample["cells"] = [sample["cells"][1]]
    other = other_machine(sample)
    sample["cells"][0].update(reason="the engine went away", log_tail="the end", planned=["limits", "tests"])
    del sample["cells"][0]["jobs"]["tests"], other["cells"][0]["log_tail"]
    for job in other["cells"][0]["jobs"].values():
        job["verdict"] = "passed"
    results.finish(other)
    (cell,) = results.merge([sample, other])["cells"]
    assert (cell["verdict"], "reason" in cell, "log_tail" in cell) == ("passed", False, False)
    # Unless what failed is absent still.
    del other["cells"][0]["jobs"]["tests"]
    (cell,) = results.merge([sample, other])["cells"]
    assert (cell["verdict"], cell["reason"]) == (sample["cells"][0]["verdict"], "the engine went away")
    assert cell["verdict"] != "passed"


def test_other_pythons_of_a_cell_are_kept(sample):
    other = other_machine(sample)
    other["cells"] = [other["cells"][0]]
    other["cells"][0]["jobs"] = {"tests": copy.deepcopy(other["cells"][0]["jobs"]["tests"])}
    other["cells"][0]["jobs"]["tests"]["pythons"][0]["version"] = "3.14"
    merged = results.merge([sample, other])
    cell = merged["cells"][0]
    assert [python["version"] for python in cell["jobs"]["tests"]["pythons"]] == ["3.13", "3.14"]
    assert {"limits", "bench", "tests"} == set(cell["jobs"])


def test_a_run_that_did_not_run_a_cell_takes_nothing_away(sample):
    other = other_machine(sample)
    other["cells"] = [{**other["cells"][0], "verdict": "not run", "reason": "no image", "jobs": {}, "system": {}}]
    assert results.merge([sample, other])["cells"][0]["verdict"] == "passed"


def test_a_report_of_another_schema_is_refused(sample):
    with pytest.raises(ValueError, match="schema_version"):
        results.merge([sample, {**sample, "schema_version": 1}])


def test_merging_from_the_command_line(sample, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(sample))
    arguments = ["merge", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "-o", str(tmp_path / "out")]
    assert report.main(arguments) == 1
    assert "5 cells, failed" in capsys.readouterr().out
    check(json.loads((tmp_path / "out" / "report.json").read_text()))
    assert (tmp_path / "out" / "index.html").exists()


def test_a_reason_that_many_cases_have_is_told_once():
    skips = ["64 bytes: zmq is not installed", "4 KiB: zmq is not installed", "open: no room: 3 bytes", "no compiler"]
    assert results.left_out_of([*skips, *skips]) == [
        "no compiler",
        "open: no room: 3 bytes",
        "zmq is not installed (2 cases)",
    ]
