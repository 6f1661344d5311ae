"""python -m posix_ipc_swig limits: what it prints, what it answers, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from helpers import sysctl

from posix_ipc_swig import fits, limits, queue_bytes

COMMAND = (sys.executable, "-I", "-m", "posix_ipc_swig")


@pytest.fixture
def run_cli(tmp_path):
    """Run the command line, and check that it ends as expected; return what it prints."""

    def run(*arguments, status=0):
        command = [*COMMAND, *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "80"}
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert result.returncode == status, result
        if status in (0, 1):
            assert result.stderr == ""
        return result.stdout if status in (0, 1) else result.stderr

    return run


def rows(output):
    """The table's lines, as name and value."""
    table = output.split("\n\n")[0].splitlines()
    return {line[:26].strip(): line[26:38].strip() for line in table[1:]}


def test_the_table_has_every_limit_with_its_value(run_cli):
    output = run_cli("limits")
    found = limits()
    table = rows(output)
    for name in ("msg_max", "msgsize_max", "queues_max", "msg_default", "msgsize_default"):
        assert table[f"fs.mqueue.{name}"] == str(sysctl(name))
    assert table["hard limit of msg_max"] == "65536"
    assert table["hard limit of msgsize_max"] == "16777216"
    for name, limit in zip(("soft", "hard"), found.rlimit_msgqueue):
        assert table[f"RLIMIT_MSGQUEUE, {name}"] == ("unlimited" if limit == -1 else str(limit))
    assert table["CAP_SYS_RESOURCE"] == ("yes" if found.may_exceed_sysctls else "no")
    assert (table["highest priority"], table["longest name"]) == ("32767", "255")
    assert (table["queues now"] == "unknown") == (found.queues is None)
    assert ("mount -t mqueue" in output) == (found.queues is None)


def test_each_line_has_a_meaning_and_fits_80_columns(run_cli):
    for arguments, status in ((), 0), (("--max-messages", 70000, "--max-message-size", 2**25), 1):
        for line in run_cli("limits", *arguments, status=status).splitlines():
            assert len(line) <= 80, line
    table = run_cli("limits").split("\n\n")[0].splitlines()
    assert all(line[40:].strip() for line in table)


def test_a_queue_that_fits_is_0_and_says_how_many_do(run_cli):
    output = " ".join(run_cli("limits", "--max-messages", 1, "--max-message-size", 8).split())
    assert f"A queue of 1 messages of 8 bytes counts {queue_bytes(1, 8)} bytes. It fits now." in output
    assert "of them" in output or "No limit" in output


def test_a_queue_that_does_not_fit_is_1_and_says_why(run_cli):
    output = " ".join(run_cli("limits", "--max-messages", 65537, "--max-message-size", 8, status=1).split())
    assert "It does not fit now." in output
    assert fits(65537, 8).reason in output
    assert "To make it fit" not in output  # nothing does


def test_one_number_takes_the_default_for_the_other(run_cli):
    default = min(sysctl("msgsize_default"), sysctl("msgsize_max"))
    queue = json.loads(run_cli("limits", "--max-messages", 1, "--json"))["queue"]
    assert (queue["max_messages"], queue["max_message_size"]) == (1, default)


def test_json_is_one_object_with_the_same_numbers(run_cli):
    result = json.loads(run_cli("limits", "--json"))
    assert set(result) == {"limits"}
    assert result["limits"]["msg_max"] == sysctl("msg_max")
    assert result["limits"]["rlimit_msgqueue"] == list(limits().rlimit_msgqueue)
    result = json.loads(run_cli("limits", "--json", "--max-messages", 1, "--max-message-size", 2**24 + 1, status=1))
    assert result["queue"] == {
        "max_messages": 1,
        "max_message_size": 2**24 + 1,
        "bytes": queue_bytes(1, 2**24 + 1),
        "errno": 22,
        "reason": fits(1, 2**24 + 1).reason,
        "fits": False,
        "count": 0,
        "raise": {"sysctls": {}, "rlimit_msgqueue": None},
    }


RUN = """
import contextlib, io, json, resource, sys, time
from posix_ipc_swig import _cli, fits, limits

def run(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = _cli.main(["limits", *map(str, arguments)])
    return status, output.getvalue()

def run_until_it_fits(*arguments):
    # Queues of this user in other namespaces count too, for a while: another test's.
    end = time.monotonic() + 30
    while True:
        status, text = run(*arguments)
        if status == 0 or time.monotonic() > end:
            return status, text
        time.sleep(0.01)
"""


def test_what_to_raise_makes_it_fit(run_in_namespace):
    run_in_namespace(
        RUN
        + """
hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (1000, hard))
asked = ("--max-messages", 12, "--max-message-size", 9000)
status, output = run(*asked, "--json")
assert status == 1
needed = json.loads(output)["queue"]["raise"]
assert needed["rlimit_msgqueue"] == 1000 + 12 * (9000 + 96)
if not limits().may_exceed_sysctls:
    assert needed["sysctls"] == {"fs.mqueue.msg_max": 12, "fs.mqueue.msgsize_max": 9000}
text = run(*asked)[1]
for part in ("sysctl -w fs.mqueue.msg_max=12", "--sysctl fs.mqueue.msgsize_max=9000", "ulimit -q 110152"):
    assert part in text or limits().may_exceed_sysctls, text
assert "docker run" in text and "--ulimit msgqueue=110152" in text
assert "as root" not in text
for name, value in needed["sysctls"].items():
    set_limit(name[len("fs.mqueue."):], value)
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (needed["rlimit_msgqueue"], hard))
status, text = run_until_it_fits(*asked)
assert status == 0, text
"""
    )


def test_bytes_above_the_hard_limit_need_root(run_in_namespace):
    run_in_namespace(
        RUN
        + """
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (1000, 2000))
status, text = run("--max-messages", 1, "--max-message-size", 4000)
assert status == 1
assert "(as root: the hard limit is 2000)" in text, text
"""
    )


def test_too_many_queues_are_raised_too(run_in_namespace):
    run_in_namespace(
        RUN
        + """
set_limit("queues_max", 0)
status, output = run("--max-messages", 1, "--max-message-size", 8, "--json")
if not limits().may_exceed_sysctls:
    assert status == 1
    assert json.loads(output)["queue"]["raise"]["sysctls"] == {"fs.mqueue.queues_max": 1}
    set_limit("queues_max", 1)
    assert run_until_it_fits("--max-messages", 1, "--max-message-size", 8)[0] == 0
"""
    )


def test_how_many_is_exact_where_the_queues_can_be_seen(run_in_mounted_namespace):
    run_in_mounted_namespace(
        RUN
        + """
from posix_ipc_swig import MessageQueue, O_CREX, LimitError, queue_bytes

mount(b"mqueue", b"/dev/mqueue")
spent = MessageQueue("/spent", O_CREX, max_messages=2, max_message_size=64)
hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (5 * queue_bytes(2, 64) + 7, hard))
status, text = run_until_it_fits("--max-messages", 2, "--max-message-size", 64)
assert status == 0, text
assert "So do 4 of them" in text, text
table = {line[:26].strip(): line[26:38].strip() for line in text.splitlines()}
assert (table["queues now"], table["bytes now"], table["bytes of this user"]) == ("1", "320", "320"), text
spent.close()
"""
    )


def test_no_limit_is_said_to_be_none():
    """Nothing here can lift all limits, so the numbers are made up."""
    import dataclasses

    from posix_ipc_swig import _cli

    free = dataclasses.replace(limits(), rlimit_msgqueue=(-1, -1), may_exceed_sysctls=True)
    fit = fits(1, 8)
    assert "No limit" in "\n".join(_cli._answer(free, fit))
    assert rows("\n".join(_cli._table(free)))["RLIMIT_MSGQUEUE, soft"] == "unlimited"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("limits", "--nonsense"),
        ("limits", "--max-messages", "0"),
        ("limits", "--max-message-size", "-1"),
        ("limits", "--max-messages", "many"),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_are_2(run_cli, arguments):
    assert "usage: python -m posix_ipc_swig" in run_cli(*arguments, status=2)


def test_help_teaches(run_cli):
    assert "limits" in run_cli("--help")
    text = run_cli("limits", "--help")
    for part in (
        "--max-messages N",
        "--max-message-size M",
        "--json",
        "examples:",
        "docker run --sysctl",
        "exit status:",
    ):
        assert part in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_reader_that_has_enough_is_no_error(tmp_path):
    command = subprocess.Popen(
        [*COMMAND, "limits"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait() == 0


def test_a_platform_without_queues_says_so(run_python):
    run_python(
        """
        import contextlib, io, sys
        import posix_ipc_swig
        from posix_ipc_swig import _cli, constants

        constants.MESSAGE_QUEUES_SUPPORTED = False
        complaints = io.StringIO()
        with contextlib.redirect_stderr(complaints):
            assert _cli.main(["limits"]) == 3
        assert complaints.getvalue().startswith("POSIX message queues are not supported: "), complaints.getvalue()
        for ask in (posix_ipc_swig.limits, posix_ipc_swig.fits):
            try:
                ask()
            except NotImplementedError as error:
                assert "message queues are not supported" in str(error)
            else:
                raise AssertionError("it went on")
        assert posix_ipc_swig.queue_bytes(10, 8192) == 82880
        """
    )
