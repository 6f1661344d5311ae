"""The limits of message queues: what they are now, and which one a failed mq_open() met.

Linux: Documentation/admin-guide/sysctl/fs.rst, mq_overview(7), getrlimit(2).
"""

from __future__ import annotations

import errno
import os

from .errors import (
    Error,
    LimitError,
    PermissionsError,
    QueueNotFoundError,
    system_error,
)

# linux/ipc_namespace.h: what no setting and no privilege exceeds.
HARD_MSG_MAX = 65536
HARD_MSGSIZE_MAX = 16 * 1024 * 1024
# The component after the slash, in bytes (NAME_MAX).
NAME_MAX = 255


def sysctl(name: str) -> int | None:
    """Return fs.mqueue.NAME of this IPC namespace, or None where /proc does not tell."""
    try:
        with open(f"/proc/sys/fs/mqueue/{name}", "rb") as file:
            return int(file.read())
    except OSError:
        return None


def default_messages() -> int:
    """Return how many messages a new queue holds when nothing is said (never more than msg_max allows)."""
    return _default("msg_default", "msg_max", 10)


def default_message_size() -> int:
    """Return how many bytes a new queue's messages may have when nothing is said."""
    return _default("msgsize_default", "msgsize_max", 8192)


def _default(name: str, ceiling: str, untouched: int) -> int:
    # Linux before 3.5 has no *_default: the kernel used its own numbers, the ones of an untouched system.
    value = sysctl(name) or untouched
    limit = sysctl(ceiling)
    return value if limit is None else min(value, limit)


def queue_bytes(max_messages: int, max_message_size: int) -> int:
    """Return the bytes that a queue counts against RLIMIT_MSGQUEUE on 64-bit Linux 3.5 and later (getrlimit(2))."""
    return max_messages * (48 + max_message_size) + min(max_messages, 32768) * 48


def open_error(
    number: int,
    name: str,
    create: bool,
    max_messages: int,
    max_message_size: int,
) -> Exception:
    """Return the exception for a failed mq_open(): which limit, its value, the value asked, and what to do.

    number: the errno. The capacity is what was asked for, in messages and bytes a message.
    """
    if number == errno.EINVAL and create:
        text = _over_ceiling(max_messages, max_message_size)
        return LimitError(number, text, name)
    if number == errno.ENOSPC:
        return LimitError(number, _too_many_queues(), name)
    if number == errno.EMFILE:
        return _exhausted(name, queue_bytes(max_messages, max_message_size))
    if number == errno.ENFILE:
        return Error(number, "the system has too many open files (fs.file-max)", name)
    if number == errno.EACCES:
        return PermissionsError(number, _not_allowed(name), name)
    if number == errno.ENOENT:
        return QueueNotFoundError(number, "no queue has this name; O_CREAT makes one", name)
    return system_error(number, name)


def _over_ceiling(max_messages: int, max_message_size: int) -> str:
    """Say which sysctl a queue's capacity is over."""
    texts = [
        _over("max_messages", max_messages, "msg_max", HARD_MSG_MAX),
        _over("max_message_size", max_message_size, "msgsize_max", HARD_MSGSIZE_MAX),
    ]
    return "; ".join(text for text in texts if text) or (
        f"the kernel refused max_messages={max_messages}, max_message_size={max_message_size}"
        f" (fs.mqueue.msg_max={sysctl('msg_max')}, fs.mqueue.msgsize_max={sysctl('msgsize_max')})"
    )


def _over(parameter: str, wanted: int, name: str, hard: int) -> str:
    limit = sysctl(name)
    if wanted > hard:
        return f"{parameter}={wanted} is over the kernel's hard limit of {hard}, which no setting raises"
    if limit is None or wanted <= limit:
        return ""
    return (
        f"{parameter}={wanted} is over fs.mqueue.{name}={limit}; "
        f"raise it with: sysctl -w fs.mqueue.{name}={wanted} (docker run --sysctl fs.mqueue.{name}={wanted})"
    )


def _too_many_queues() -> str:
    limit = sysctl("queues_max")
    more = "a higher number" if limit is None else limit * 2
    return (
        f"this IPC namespace has fs.mqueue.queues_max={limit} queues already; unlink some (ls /dev/mqueue), "
        f"or raise it with: sysctl -w fs.mqueue.queues_max={more} (docker run --sysctl fs.mqueue.queues_max={more})"
    )


def _exhausted(name: str, needed: int) -> Exception:
    """Tell RLIMIT_MSGQUEUE from RLIMIT_NOFILE: mq_open() says EMFILE for both."""
    from . import _mqueue  # this module is imported where the extension is not built, too

    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        if error.errno == errno.EMFILE:
            soft, hard = _mqueue.getrlimit(_mqueue.RLIMIT_NOFILE)
            return Error(
                errno.EMFILE,
                f"this process has as many files open as RLIMIT_NOFILE={soft} (hard limit {hard}) allows; "
                f"close some, or raise it with: ulimit -n {soft * 2} (docker run --ulimit nofile={soft * 2})",
                name,
            )
    soft, hard = _mqueue.getrlimit(_mqueue.RLIMIT_MSGQUEUE)
    return LimitError(
        errno.EMFILE,
        f"this queue needs {needed} bytes, more than this user has left of RLIMIT_MSGQUEUE={soft} (hard limit {hard}), "
        f"which all queues of a user share; unlink some, ask for less, or raise it with: ulimit -q {soft + needed} "
        f"(docker run --ulimit msgqueue={soft + needed}; systemd: LimitMSGQUEUE={soft + needed})",
        name,
    )


def _not_allowed(name: str) -> str:
    try:
        status = os.stat(f"/dev/mqueue{name}")
    except OSError:
        return "the queue's permission bits do not allow this user to open it so"
    return (
        f"the queue belongs to uid {status.st_uid}, gid {status.st_gid}, with mode {status.st_mode & 0o7777:#o}, "
        f"which does not allow uid {os.geteuid()} to open it so"
    )
