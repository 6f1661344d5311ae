"""The errors, and what they say.

Every one is an OSError with its errno, and with the queue's name as its filename. They are also what a program
written for another binding, or for the built-in exceptions, would catch: see each class.
"""

from __future__ import annotations

import errno
import os

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


def system_error(number: int, name: str) -> Exception:
    """Return the exception for an errno of a call that a queue's name is known of."""
    kind: type[Error] = Error
    text = os.strerror(number)
    if number == errno.ENOENT:
        kind, text = QueueNotFoundError, "no queue has this name"
    elif number == errno.EEXIST:
        kind, text = QueueExistsError, "a queue of this name exists already"
    elif number in (errno.EACCES, errno.EPERM):
        kind = PermissionsError
    elif number == errno.EBADF:
        kind = ExistentialError
    elif number in (errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY):
        kind = BusyError
    return kind(number, text, name)
