"""Errors: what they are, and what they say."""

from __future__ import annotations

import errno
import os
import pickle
import sys

import pytest
from helpers import CAP_SYS_RESOURCE, fill, has_capability, queue_bytes, sysctl

import posix_ipc_swig
from posix_ipc_swig import (
    O_CREX,
    BusyError,
    Error,
    ExistentialError,
    LimitError,
    MessageQueue,
    PermissionsError,
    SignalError,
    _limits,
    errors,
    unlink_message_queue,
)

bound_by_sysctls = pytest.mark.skipif(
    has_capability(CAP_SYS_RESOURCE), reason="CAP_SYS_RESOURCE lifts the limits of fs.mqueue"
)


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (Error, [OSError]),
        (BusyError, [Error, TimeoutError]),
        (ExistentialError, [Error]),
        (PermissionsError, [Error, PermissionError]),
        (SignalError, [Error]),
        (LimitError, [Error, ValueError]),
    ],
)
def test_each_error_is_also_what_a_program_would_catch(kind, bases):
    for base in bases:
        assert issubclass(kind, base)
    assert getattr(posix_ipc_swig, kind.__name__) is kind
    assert kind.__name__ in posix_ipc_swig.__all__


def test_errors_that_differ_are_not_one_another():
    kinds = [BusyError, ExistentialError, PermissionsError, SignalError, LimitError]
    for kind in kinds:
        assert [other for other in kinds if issubclass(kind, other)] == [kind]


FAILURES = {
    "missing": (
        lambda queue, name: MessageQueue(name),
        [ExistentialError, FileNotFoundError],
        {errno.ENOENT},
    ),
    "exists": (
        lambda queue, name: MessageQueue(queue.name, O_CREX),
        [ExistentialError, FileExistsError],
        {errno.EEXIST},
    ),
    "unlink missing": (
        lambda queue, name: unlink_message_queue(name),
        [ExistentialError, FileNotFoundError],
        {errno.ENOENT},
    ),
    "empty": (
        lambda queue, name: queue.receive(0),
        [BusyError, TimeoutError],
        {errno.EAGAIN, errno.ETIMEDOUT},
    ),
    "timed out": (
        lambda queue, name: queue.receive(0.01),
        [BusyError, TimeoutError],
        {errno.EAGAIN, errno.ETIMEDOUT},
    ),
    "full": (
        lambda queue, name: (fill(queue), queue.send("x", 0)),
        [BusyError, TimeoutError],
        {errno.EAGAIN, errno.ETIMEDOUT},
    ),
}


@pytest.mark.parametrize(("attempt", "kinds", "numbers"), FAILURES.values(), ids=FAILURES)
def test_an_error_carries_errno_and_the_name_of_the_queue(queue, name, attempt, kinds, numbers):
    with pytest.raises(Error) as caught:
        attempt(queue, name)
    error = caught.value
    for kind in (*kinds, Error, OSError):
        assert isinstance(error, kind)
    assert error.errno in numbers
    assert error.filename in (queue.name, name)
    assert error.filename in str(error)
    assert error.strerror


def test_a_missing_queue_is_no_queue_that_exists(queue, name):
    with pytest.raises(ExistentialError) as missing:
        MessageQueue(name)
    with pytest.raises(ExistentialError) as exists:
        MessageQueue(queue.name, O_CREX)
    assert not isinstance(missing.value, FileExistsError)
    assert not isinstance(exists.value, FileNotFoundError)
    assert (missing.value.filename, exists.value.filename) == (name, queue.name)


def test_a_closed_handle_is_an_error_of_its_own(queue):
    queue.close()
    with pytest.raises(ExistentialError, match="closed") as caught:
        queue.receive(0)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, queue.name)
    assert not isinstance(caught.value, (FileNotFoundError, FileExistsError))


def test_a_handle_without_the_right_says_which(queue, reopen):
    with pytest.raises(PermissionsError, match="read") as caught:
        reopen(queue, read=False).receive(0)
    assert caught.value.filename == queue.name
    with pytest.raises(PermissionsError, match="write") as caught:
        reopen(queue, write=False).send("x", 0)
    assert caught.value.filename == queue.name


def test_an_error_survives_pickling(queue, name):
    for attempt, _, _ in FAILURES.values():
        with pytest.raises(Error) as caught:
            attempt(queue, name)
        error = pickle.loads(pickle.dumps(caught.value))
        assert type(error) is type(caught.value)
        assert (error.errno, error.filename, str(error)) == (
            caught.value.errno,
            caught.value.filename,
            str(caught.value),
        )


def test_the_permission_bits_of_another_user_are_kept(run_python, name):
    """As root, the program becomes somebody else; as somebody else, a mode of 0 keeps the owner out too."""
    mode = 0o600 if os.geteuid() == 0 else 0
    with MessageQueue(name, O_CREX, mode=mode, max_messages=1, max_message_size=8) as queue:
        run_python(
            """
            import errno, os, sys
            from posix_ipc_swig import *

            if os.geteuid() == 0:
                os.setgroups([])
                os.setegid(65534)
                os.seteuid(65534)
            for rights in ({}, {"read": False}, {"write": False}):
                try:
                    MessageQueue(sys.argv[1], **rights)
                except PermissionsError as error:
                    assert isinstance(error, PermissionError)
                    assert error.errno == errno.EACCES
                    assert error.filename == sys.argv[1]
                    assert "permission" in str(error) or "mode" in str(error), error
                else:
                    raise AssertionError("it opened")
            if os.geteuid() == 65534:
                try:
                    unlink_message_queue(sys.argv[1])
                except PermissionsError as error:
                    assert error.filename == sys.argv[1]
                else:
                    raise AssertionError("it was unlinked")
                os.seteuid(0)  # coverage writes its data at exit
            """,
            name,
        )
        assert queue.current_messages == 0
        queue.unlink()


# --- limits -----------------------------------------------------------------------------------


def assert_names_the_limit(error, *parts):
    for part in parts:
        assert part in str(error), f"{part!r} is not in: {error}"


@bound_by_sysctls
@pytest.mark.parametrize(("parameter", "limit"), [("max_messages", "msg_max"), ("max_message_size", "msgsize_max")])
def test_a_capacity_over_a_sysctl_names_it_and_says_how_to_raise_it(name, parameter, limit):
    now = sysctl(limit)
    other = {"max_messages": "max_message_size", "max_message_size": "max_messages"}[parameter]
    with pytest.raises(LimitError) as caught:
        MessageQueue(name, O_CREX, **{parameter: now + 1, other: 1})
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.errno, error.filename) == (errno.EINVAL, name)
    assert_names_the_limit(
        error,
        f"{parameter}={now + 1}",
        f"fs.mqueue.{limit}={now}",
        f"sysctl -w fs.mqueue.{limit}={now + 1}",
        f"--sysctl fs.mqueue.{limit}={now + 1}",
    )
    assert f"{other}=" not in str(error)
    with pytest.raises(FileNotFoundError):
        MessageQueue(name)


@bound_by_sysctls
def test_both_limits_are_named_when_both_are_hit(name):
    with pytest.raises(LimitError) as caught:
        MessageQueue(
            name,
            O_CREX,
            max_messages=sysctl("msg_max") + 1,
            max_message_size=sysctl("msgsize_max") + 1,
        )
    assert_names_the_limit(caught.value, "fs.mqueue.msg_max", "fs.mqueue.msgsize_max")


@pytest.mark.parametrize(("parameter", "hard"), [("max_messages", 65536), ("max_message_size", 16 * 1024 * 1024)])
@pytest.mark.parametrize("times", [1, 1000, 2**60])
def test_a_capacity_over_the_kernels_hard_limit_says_that_nothing_raises_it(name, parameter, hard, times):
    with pytest.raises(LimitError) as caught:
        MessageQueue(name, O_CREX, **{"max_messages": 1, "max_message_size": 1, parameter: hard * times + 1})
    assert_names_the_limit(caught.value, f"{parameter}={hard * times + 1}", str(hard))
    assert "sysctl -w" not in str(caught.value)


def test_the_byte_limit_is_told_from_the_limit_of_open_files(run_python, name):
    """mq_open() says EMFILE for both: this is RLIMIT_MSGQUEUE."""
    run_python(
        f"""
        import errno, resource, sys
        from posix_ipc_swig import LimitError, MessageQueue, O_CREX

        RLIMIT_MSGQUEUE = getattr(resource, "RLIMIT_MSGQUEUE", 12)
        hard = resource.getrlimit(RLIMIT_MSGQUEUE)[1]
        resource.setrlimit(RLIMIT_MSGQUEUE, (1000, hard))
        try:
            MessageQueue(sys.argv[1], O_CREX, max_messages=8, max_message_size=100)
        except LimitError as error:
            text = str(error)
            assert isinstance(error, OSError) and isinstance(error, ValueError)
            assert (error.errno, error.filename) == (errno.EMFILE, sys.argv[1])
            for part in ("RLIMIT_MSGQUEUE=1000", "{queue_bytes(8, 100)}", "ulimit -q", "--ulimit msgqueue="):
                assert part in text, (part, text)
            assert "NOFILE" not in text, text
        else:
            raise AssertionError("it opened")
        """,
        name,
    )


def test_the_limit_of_open_files_is_told_from_the_byte_limit(run_python, queue, name):
    """The program knows nothing of limits beforehand: with no descriptor left, not even an import can open a file."""
    run_python(
        """
        import errno, os, sys
        from posix_ipc_swig import Error, LimitError, MessageQueue, O_CREX, O_CREAT

        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        errors = []
        for arguments in ((sys.argv[1],), (sys.argv[2], O_CREX), (sys.argv[2], O_CREAT, 0o600, 1, 8)):
            try:
                MessageQueue(*arguments)
            except BaseException as error:
                errors.append((arguments[0], error))
        for number in taken:
            os.close(number)
        assert len(errors) == 3
        for name, error in errors:
            assert isinstance(error, Error), repr(error)
            assert (error.errno, error.filename) == (errno.EMFILE, name)
            for part in ("RLIMIT_NOFILE=64", "ulimit -n"):
                assert part in str(error), error
            assert "MSGQUEUE" not in str(error), error
        MessageQueue(sys.argv[1]).close()
        """,
        queue.name,
        name,
        prefix=("sh", "-c", 'ulimit -n 64; exec "$@"', "sh"),
    )


@pytest.mark.parametrize("most", [0, 1])
def test_too_many_queues_name_their_limit(run_in_namespace, most):
    run_in_namespace(
        f"""
        import errno
        from posix_ipc_swig import LimitError, MessageQueue, O_CREX, limits

        set_limit("queues_max", {most})
        made = [MessageQueue(None, O_CREX, max_messages=1, max_message_size=8) for _ in range({most})]
        try:
            MessageQueue("/more", O_CREX, max_messages=1, max_message_size=8).close()
        except LimitError as error:
            assert isinstance(error, ValueError)
            assert (error.errno, error.filename) == (errno.ENOSPC, "/more")
            more = {max(most + 1, 2 * most)}
            for part in (
                "fs.mqueue.queues_max={most} ",
                f"sysctl -w fs.mqueue.queues_max={{more}} ",
                f"docker run --sysctl fs.mqueue.queues_max={{more}})",
            ):
                assert part in str(error), error
        else:
            assert limits().may_exceed_sysctls, "it opened"
        for queue in made:
            queue.close()
        """
    )


def test_a_limit_that_was_raised_says_the_new_value(run_in_namespace):
    run_in_namespace(
        """
        from posix_ipc_swig import LimitError, MessageQueue, O_CREX

        set_limit("msg_max", 20)
        with MessageQueue("/fits", O_CREX, max_messages=20, max_message_size=8) as queue:
            assert queue.max_messages == 20
        try:
            MessageQueue("/over", O_CREX, max_messages=21, max_message_size=8).close()
        except LimitError as error:
            assert "fs.mqueue.msg_max=20" in str(error), error
        """
    )


def test_what_to_do_is_enough(run_in_namespace):
    """The commands that the texts give, taken from the texts and run, make the queue fit."""
    run_in_namespace(
        """
        from posix_ipc_swig import LimitError, MessageQueue, O_CREX

        def make():
            MessageQueue("/wanted", O_CREX, max_messages=12, max_message_size=9000).close()

        for _ in range(3):
            try:
                make()
            except LimitError as error:
                for command in str(error).split("sysctl -w ")[1:]:
                    name, value = command.split()[0].split("=")
                    set_limit(name[len("fs.mqueue."):], value)
            else:
                break
        else:
            raise AssertionError("it does not fit")
        """
    )


def test_a_capacity_that_no_limit_explains_says_what_was_asked(monkeypatch):
    """Somebody raised the limit just now, or /proc is not mounted."""
    error = errors.open_error(errno.EINVAL, "/name", True, 1, 8)
    assert_names_the_limit(error, "max_messages=1", "max_message_size=8", f"fs.mqueue.msg_max={sysctl('msg_max')}")
    monkeypatch.setattr(_limits, "sysctl", lambda name: None)
    error = errors.open_error(errno.EINVAL, "/name", True, 11, 8)
    assert_names_the_limit(error, "max_messages=11", "fs.mqueue.msg_max", "/proc does not tell")
    error = errors.open_error(errno.ENOSPC, "/name", True, 11, 8)
    assert_names_the_limit(error, "fs.mqueue.queues_max", "sysctl -w fs.mqueue.queues_max=NUMBER")


def test_what_cannot_be_brought_about_here_is_explained_too():
    """All files of the machine open, and a container whose seccomp profile has no mq_open()."""
    error = errors.open_error(errno.ENFILE, "/name", True, 1, 8)
    assert_names_the_limit(error, "fs.file-max", "sysctl -w fs.file-max=")
    assert type(error) is Error
    error = errors.open_error(errno.EPERM, "/name", True, 1, 8)
    assert_names_the_limit(error, "seccomp", "--security-opt")
    assert type(error) is PermissionsError
    assert type(errors.open_error(errno.ENOMEM, "/name", True, 1, 8)) is Error


def test_an_open_that_makes_nothing_never_speaks_of_bytes():
    error = errors.open_error(errno.EMFILE, "/name", False, 1, 8)
    assert_names_the_limit(error, "RLIMIT_NOFILE=")
    assert "MSGQUEUE" not in str(error)


BYTES = """
import errno, resource
from posix_ipc_swig import LimitError, MessageQueue, O_CREX, queue_bytes

with MessageQueue("/one", O_CREX, max_messages=1, max_message_size=100):
    soft, hard = queue_bytes(1, 100), resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (soft, hard))
    try:
        MessageQueue("/two", O_CREX, max_messages=1, max_message_size=8)
    except LimitError as error:
        assert error.errno == errno.EMFILE
        print(error)
    else:
        raise AssertionError("it opened")
"""


def test_spent_bytes_say_how_many_are_in_use(run_in_mounted_namespace):
    output = run_in_mounted_namespace(f'mount(b"mqueue", b"/dev/mqueue")\n{BYTES}')
    for part in (
        f"needs {queue_bytes(1, 8)} bytes",
        f"RLIMIT_MSGQUEUE={queue_bytes(1, 100)} ",
        f"in use: at least {queue_bytes(1, 100)}, by its 1 queues in /dev/mqueue",
        f"ulimit -q {queue_bytes(1, 100) + queue_bytes(1, 8)} ",
        f"--ulimit msgqueue={queue_bytes(1, 100) + queue_bytes(1, 8)};",
        "LimitMSGQUEUE=",
    ):
        assert part in output


@pytest.mark.parametrize("kind", ["tmpfs", None])
def test_where_dev_mqueue_is_absent_bytes_in_use_cannot_be_seen(run_in_mounted_namespace, kind):
    """An empty folder, and none at all."""
    hide = 'mount(b"tmpfs", b"/dev/mqueue")' if kind else 'mount(b"tmpfs", b"/dev"); open("/dev/null", "w").close()'
    output = run_in_mounted_namespace(f"{hide}\n{BYTES}")
    assert "cannot be seen: no mqueue file system is at /dev/mqueue (mount -t mqueue none /dev/mqueue" in output


DENIED = """
from posix_ipc_swig import MessageQueue, O_CREX, PermissionsError, unlink_message_queue

MessageQueue("/one", O_CREX, mode=0o440, max_messages=1, max_message_size=8).close()
os.chmod("/dev/mqueue", 0o555)
header = (0x20080522).to_bytes(4, sys.byteorder) + bytes(4)
assert libc.capset(header, bytes(24)) == 0
for attempt in (lambda: MessageQueue("/one"), lambda: unlink_message_queue("/one")):
    try:
        attempt()
    except PermissionsError as error:
        print(os.getuid(), os.getgid(), error)
    else:
        raise AssertionError("it was allowed")
"""


def test_a_queue_that_is_closed_to_this_user_says_whose_it_is(run_in_mounted_namespace):
    output = run_in_mounted_namespace(f'mount(b"mqueue", b"/dev/mqueue")\n{DENIED}').splitlines()
    for line, more in zip(output, ("open it so", "only its owner may unlink it")):
        user, group, text = line.split(maxsplit=2)
        assert f"belongs to uid {user}, gid {group}, and has mode 0o440" in text
        assert more in text
    assert len(output) == 2


def test_where_dev_mqueue_is_absent_the_owner_cannot_be_seen(name):
    # The kernel's side is in the test above; here only the text, as this machine may have the folder or not.
    error = errors.open_error(errno.EACCES, name + "/none", False, 0, 0)
    assert_names_the_limit(error, "cannot be seen", "/dev/mqueue", f"uid {os.geteuid()}")


def test_a_missing_queue_reminds_of_namespaces(name):
    with pytest.raises(ExistentialError, match="IPC namespace") as caught:
        MessageQueue(name)
    assert "O_CREAT" in str(caught.value)
    with pytest.raises(ExistentialError, match="no queue has this name"):
        unlink_message_queue(name)


def test_an_existing_queue_says_what_to_do(queue):
    with pytest.raises(ExistentialError, match="unlink it first"):
        MessageQueue(queue.name, O_CREX)


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        ("name", "begin with a slash"),
        ("/" + "x" * 256, "NAME_MAX=255"),
        ("/a/b", "no slash but"),
        ("/..", "than '/..' has"),
    ],
)
def test_a_name_that_the_system_refuses_says_why(bad, part):
    with pytest.raises(ValueError) as caught:
        MessageQueue(bad, O_CREX)
    assert_names_the_limit(caught.value, part)


def test_success_explains_nothing(run_python, name):
    """No file is read, no module loaded and nothing computed for an error that did not come."""
    run_python(
        """
        import sys
        from posix_ipc_swig import MessageQueue, O_CREX, _limits, errors

        def never(*args):
            raise AssertionError("not when it succeeds")

        for module in (_limits, errors):
            for function in ("sysctl", "open_error", "mounted_queues", "queue_bytes"):
                if hasattr(module, function):
                    setattr(module, function, never)
        before = set(sys.modules)
        with MessageQueue(sys.argv[1], O_CREX, max_messages=1, max_message_size=8) as queue:
            queue.send("x")
            queue.receive()
            queue.unlink()
        with MessageQueue(sys.argv[1], O_CREX) as queue:
            queue.unlink()
        assert set(sys.modules) == before
        """,
        name,
    )


def test_errors_are_named_as_programs_import_them():
    for kind in (Error, BusyError, ExistentialError, PermissionsError, SignalError, LimitError):
        assert getattr(sys.modules[kind.__module__], kind.__qualname__) is kind
        assert kind.__module__ == "posix_ipc_swig"
