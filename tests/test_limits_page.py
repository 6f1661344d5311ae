"""docs/limits.md: every number that it states is what the code and the kernel say."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from posix_ipc_swig import LimitError, fits, limits, queue_bytes

PAGE = Path(__file__).resolve().parent.parent / "docs" / "limits.md"
if not PAGE.parent.is_dir():
    pytest.skip("this copy of the source has no docs folder", allow_module_level=True)
TEXT = PAGE.read_text("utf-8")
FLAT = " ".join(TEXT.split())


def written(number):
    """The number as the page writes it."""
    return f"{number:,}"


def test_the_table_of_the_five_is_that_of_a_new_namespace(run_in_namespace):
    output = run_in_namespace(
        """
        from posix_ipc_swig import limits

        found = limits()
        print(found.msg_max, found.msgsize_max, found.queues_max, found.msg_default, found.msgsize_default)
        """
    )
    msg_max, msgsize_max, queues_max, msg_default, msgsize_default = map(int, output.split())
    for name, value in (("msg_max", msg_max), ("msgsize_max", msgsize_max), ("queues_max", queues_max)):
        assert re.search(rf"^\| `fs\.mqueue\.{name}` \| [^|]+ \| {written(value)} \|", TEXT, re.MULTILINE), name
    assert f"`fs.mqueue.msg_default` ({written(msg_default)})" in FLAT
    assert f"`fs.mqueue.msgsize_default` ({written(msgsize_default)})" in FLAT


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        ("fs.mqueue.msg_max", errno.EINVAL),
        ("fs.mqueue.msgsize_max", errno.EINVAL),
        ("fs.mqueue.queues_max", errno.ENOSPC),
        ("RLIMIT_MSGQUEUE", errno.EMFILE),
        ("RLIMIT_NOFILE", errno.EMFILE),
    ],
)
def test_the_error_of_each_is_the_one_that_the_library_explains(limit, number):
    from posix_ipc_swig import errors

    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{limit}`"))
    assert row.split("|")[4].strip() == f"`{errno.errorcode[number]}`"
    over = {"fs.mqueue.msg_max": (70000, 1), "fs.mqueue.msgsize_max": (1, 2**25)}.get(limit, (1, 1))
    error = errors.open_error(number, "/name", limit != "RLIMIT_NOFILE", *over)
    assert limit in str(error)
    assert isinstance(error, LimitError) == (limit != "RLIMIT_NOFILE")


def test_what_nothing_exceeds_is_the_kernels(name):
    found = limits()
    assert (
        f"Nothing exceeds {written(found.hard_msg_max)} messages, {written(found.hard_msgsize_max)} bytes a message, "
        f"priority {written(found.priority_max)} and a name of {found.name_max} bytes after its slash."
    ) in FLAT
    assert not fits(found.hard_msg_max + 1, 1)
    assert not fits(1, found.hard_msgsize_max + 1)


def test_the_formula_is_queue_bytes():
    formula = next(line.strip() for line in TEXT.splitlines() if line.strip().startswith("max_messages * ("))
    for max_messages, max_message_size in ((1, 1), (10, 8192), (32768, 7), (32769, 7), (65536, 2**24)):
        values = {"max_messages": max_messages, "max_message_size": max_message_size, "min": min}
        assert eval(formula.replace("32,768", "32768"), values) == queue_bytes(max_messages, max_message_size)


def test_the_examples_are_queue_bytes():
    usual = 819200
    assert (
        f"`queue_bytes(10, 8192)` is {written(queue_bytes(10, 8192))}, and {usual // queue_bytes(10, 8192)} such"
        in FLAT
    )
    assert f"the untouched {written(usual)} bytes" in FLAT
    assert f"100 messages of 8,192 bytes counts {written(queue_bytes(100, 8192))} bytes" in FLAT
    assert queue_bytes(100, 8192) > usual


def test_the_session_is_what_the_command_prints(run_in_namespace):
    session = re.search(r"```console\n\$ python -m posix_ipc_swig (.*?)\n(.*?)```", TEXT, re.DOTALL)
    arguments, expected = session.groups()
    run_in_namespace(
        f"""
        import contextlib, io, resource
        from posix_ipc_swig import _cli, limits

        hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (819200, hard))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = _cli.main({arguments.split()!r})
        if not limits().may_exceed_sysctls and limits().rlimit_msgqueue[0] >= 819200:
            assert status == 1
            assert output.getvalue().endswith({expected!r}), output.getvalue()
        """
    )


def test_no_number_is_unchecked():
    """A number that is added to the page needs a test, or a reason to be on this list."""
    checked = {10, 8192, 256, 819200, 65536, 16777216, 32767, 255, 48, 32768, 82880, 9, 100, 828800}
    of_the_session = {4096, 419200}
    chosen_for_examples = {65536, 8388608, 4096}
    of_others = {64, 3, 5, 7, 2, 1, 60}  # 64-bit, Linux 3.5, sections of manuals, a file's name
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", TEXT)}
    assert numbers <= checked | of_the_session | chosen_for_examples | of_others


def test_what_the_errors_advise_is_on_the_page():
    for advice in (
        "sysctl -w fs.mqueue.msg_max=",
        "--sysctl fs.mqueue.msg_max=",
        "--ulimit msgqueue=",
        "ulimit -q",
        "LimitMSGQUEUE=",
        "LimitNOFILE=",
        "mount -t mqueue none /dev/mqueue",
        "securityContext",
        "limits.conf",
    ):
        assert advice in TEXT
