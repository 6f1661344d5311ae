"""The errors, and what they say.

Every one is an OSError with its errno, and with the queue's name as its filename. They are also what a program
written for another binding, or for the built-in exceptions, would catch: see each class.
"""

from __future__ import annotations

import errno
import os

from . import _limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .queue import MessageQueue


class Error(OSError):
    """Base of the library's own errors."""


class BusyError(Error, TimeoutError):
    """A wait timed out, a call that may not wait would have to, or another process holds the notification request."""


class ExistentialError(Error):
    """The queue does not exist, or exists and must not, or the handle is closed."""


class QueueNotFoundError(ExistentialError, FileNotFoundError):
    """No queue has that name (ENOENT)."""


class QueueExistsError(ExistentialError, FileExistsError):
    """A queue has that name already, and O_EXCL asked for a new one (EEXIST)."""


class PermissionsError(Error, PermissionError):
    """The queue's permissions, or this handle's read and write, do not allow it."""


class SignalError(Error, InterruptedError):
    """Never raised: a signal does not end a wait (PEP 475). Kept for programs that name it."""


class LimitError(Error, ValueError):
    """A queue that a limit of the system does not allow: EINVAL, EMFILE or ENOSPC from mq_open()."""


# Tracebacks and pickles name them as programs import them.
for _error in (Error, *Error.__subclasses__(), *ExistentialError.__subclasses__()):
    _error.__module__ = "posix_ipc_swig"


def operation_error(queue: MessageQueue, operation: str, number: int) -> Exception:
    """Return the exception for a failed call on a handle: `number` is the errno."""
    name = queue.name
    if operation == "notify" and number == errno.EBUSY:
        return BusyError(number, "another process holds the queue's notification request", name)
    if queue.closed:
        return ExistentialError(errno.EBADF, "the handle is closed", name)
    if number == errno.EBADF and operation in ("send", "receive"):
        right, allowed = ("write", queue._writable) if operation == "send" else ("read", queue._readable)
        if not allowed:
            return PermissionsError(number, f"the handle was opened with {right}=False: it cannot {operation}", name)
        return ExistentialError(number, "the queue descriptor was closed, but not by close() of its handle", name)
    return system_error(number, name)


_KINDS: dict[int, type[Error]] = {
    errno.ENOENT: QueueNotFoundError,
    errno.EEXIST: QueueExistsError,
    errno.EACCES: PermissionsError,
    errno.EPERM: PermissionsError,
    errno.EBADF: ExistentialError,
    errno.EAGAIN: BusyError,
    errno.ETIMEDOUT: BusyError,
    errno.EBUSY: BusyError,
}


def system_error(number: int, name: str) -> Error:
    """Return the exception for an errno of a call that a queue's name is known of."""
    text = "no queue has this name" if number == errno.ENOENT else os.strerror(number)
    return _KINDS.get(number, Error)(number, text, name)


def open_error(
    number: int,
    name: str,
    create: bool,
    max_messages: int,
    max_message_size: int,
) -> Error:
    """Return the exception for a failed mq_open(): which limit, its value, the value asked, and what to do.

    number: the errno.
    create: whether O_CREAT was given; then the capacity is what was asked for, in messages and bytes a message.
    """
    if number == errno.EINVAL:
        return LimitError(number, _over_ceiling(max_messages, max_message_size), name)
    if number == errno.ENOSPC:
        return LimitError(number, _too_many_queues(), name)
    if number == errno.EMFILE:
        # mq_open() says so of descriptors and of bytes; an open that makes nothing needs no bytes.
        needed = _limits.queue_bytes(max_messages, max_message_size)
        return _out_of_bytes(name, needed) if create and _descriptor_left() else _out_of_descriptors(name)
    if number == errno.ENFILE:
        text = (
            "the system has as many files open as fs.file-max allows (see sysctl fs.file-max fs.file-nr); "
            "raise it on the host with: sysctl -w fs.file-max=NUMBER (a container has no setting of its own)"
        )
        return Error(number, text, name)
    if number == errno.EACCES:
        return PermissionsError(number, f"{_whose(name)}, which does not let uid {os.geteuid()} open it so", name)
    if number == errno.EPERM:
        text = (
            "mq_open() itself is forbidden to this process, whatever the queue's mode: by a seccomp profile "
            "(docker run --security-opt seccomp=FILE gives another) or by a security module"
        )
        return PermissionsError(number, text, name)
    if number == errno.ENOENT:
        text = "no queue has this name in this IPC namespace (each container has one of its own); O_CREAT makes one"
        return QueueNotFoundError(number, text, name)
    if number == errno.EEXIST:
        text = "a queue of this name exists already, and O_EXCL asks for a new one; open it without, or unlink it first"
        return QueueExistsError(number, text, name)
    return system_error(number, name)


def unlink_error(number: int, name: str) -> Error:
    """Return the exception for a failed mq_unlink(). number: the errno."""
    if number in (errno.EACCES, errno.EPERM):
        text = f"{_whose(name)}; only its owner may unlink it, or root, not uid {os.geteuid()}"
        return PermissionsError(number, text, name)
    return system_error(number, name)


def _raise_sysctl(name: str, value: object) -> str:
    return f"raise it with: sysctl -w fs.mqueue.{name}={value} (docker run --sysctl fs.mqueue.{name}={value})"


def _over_ceiling(max_messages: int, max_message_size: int) -> str:
    """Say which sysctl a queue's capacity is over."""
    texts = [
        _over("max_messages", max_messages, "msg_max", _limits.HARD_MSG_MAX),
        _over("max_message_size", max_message_size, "msgsize_max", _limits.HARD_MSGSIZE_MAX),
    ]
    # Neither, where /proc does not tell, or somebody raised the limit between the call and this line.
    return "; ".join(text for text in texts if text) or (
        f"the kernel refused max_messages={max_messages}, max_message_size={max_message_size}: one is over its limit, "
        f"which is now fs.mqueue.msg_max={_limits.sysctl('msg_max')}, "
        f"fs.mqueue.msgsize_max={_limits.sysctl('msgsize_max')} (None: /proc does not tell)"
    )


def _over(parameter: str, wanted: int, name: str, hard: int) -> str:
    if wanted > hard:
        return f"{parameter}={wanted} is over {hard}, the kernel's hard limit of fs.mqueue.{name}, which nothing raises"
    limit = _limits.sysctl(name)
    if limit is None or wanted <= limit:
        return ""
    return f"{parameter}={wanted} is over fs.mqueue.{name}={limit}; {_raise_sysctl(name, wanted)}"


def _too_many_queues() -> str:
    limit = _limits.sysctl("queues_max")
    more = "NUMBER" if limit is None else max(limit + 1, limit * 2)
    return (
        f"one queue more than fs.mqueue.queues_max={limit} allows in this IPC namespace; "
        f"unlink some (ls {_limits.MOUNT}), or {_raise_sysctl('queues_max', more)}"
    )


def _descriptor_left() -> bool:
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        return error.errno != errno.EMFILE
    return True


def _out_of_descriptors(name: str) -> Error:
    from . import _mqueue  # this module is imported where the extension is not built, too

    soft, hard = _mqueue.getrlimit(_mqueue.RLIMIT_NOFILE)
    more = soft * 2
    return Error(
        errno.EMFILE,
        f"this process has as many files open as RLIMIT_NOFILE={soft} (hard limit {hard}) allows; close some, or raise "
        f"it with: ulimit -n {more} (docker run --ulimit nofile={more}; systemd: LimitNOFILE={more})",
        name,
    )


def _out_of_bytes(name: str, needed: int) -> Error:
    from . import _mqueue

    soft, hard = _mqueue.getrlimit(_mqueue.RLIMIT_MSGQUEUE)
    enough = soft + needed
    by = " as root" if hard != -1 and enough > hard else ""
    return LimitError(
        errno.EMFILE,
        f"this queue needs {needed} bytes, more than this user has left of RLIMIT_MSGQUEUE={soft} (hard limit "
        f"{'none' if hard == -1 else hard}), which all queues of a user share, in every container; {_in_use()}; unlink "
        f"some, ask for less, or raise it{by} with: ulimit -q {enough} "
        f"(docker run --ulimit msgqueue={enough}; systemd: LimitMSGQUEUE={enough})",
        name,
    )


def _in_use() -> str:
    """Say what is known of the bytes that this user's queues count."""
    queues = _limits.mounted_queues()
    if queues is None:
        return (
            f"how many are in use cannot be seen: no mqueue file system is at {_limits.MOUNT} "
            f"(mount -t mqueue none {_limits.MOUNT} shows the queues)"
        )
    mine = [size for status, size in queues if status.st_uid == os.getuid()]
    return f"in use: at least {sum(size or 0 for size in mine)}, by its {len(mine)} queues in {_limits.MOUNT}"


def _whose(name: str) -> str:
    """Say whose queue it is."""
    try:
        if not _limits.is_mqueue(_limits.MOUNT):
            raise FileNotFoundError
        status = os.stat(f"{_limits.MOUNT}{name}")
    except OSError:
        return (
            "the queue has an owner and a mode that cannot be seen, as no mqueue file system is at "
            f"{_limits.MOUNT} (mount -t mqueue none {_limits.MOUNT} shows them)"
        )
    return f"the queue belongs to uid {status.st_uid}, gid {status.st_gid}, and has mode {status.st_mode & 0o7777:#o}"
