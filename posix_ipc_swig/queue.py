"""MessageQueue: what the interface promises, over the C base that does the work."""

from __future__ import annotations

import os
from _operator import index  # operator's own: that module costs a fifth of this package's import

from . import _limits, _mqueue, notify
from .constants import O_CREAT, O_CREX, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from .errors import BusyError, ExistentialError, QueueExistsError, open_error, operation_error, unlink_error
from .listening import Listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Union

    from typing_extensions import Self

    _Notification = Union[None, int, tuple[Callable[[Any], object], Any]]

_CREATION = O_CREAT | O_EXCL | O_TRUNC | O_NONBLOCK
_MODES = 0o7777

_mqueue.set_errors(BusyError, operation_error)
os.register_at_fork(after_in_child=_mqueue.forget_threads)


class MessageQueue(_mqueue.Queue):
    """A handle to a POSIX message queue: mq_overview(7), POSIX.1-2017 <mqueue.h>.

    name: str or bytes, begins with a slash and has no other, at most 255 bytes after it; None chooses an unused name,
        which needs O_CREX.
    flags: 0 opens an existing queue; O_CREAT opens or creates; O_CREX creates, and fails if it exists. O_NONBLOCK: see
        block.
    mode: permission bits of a new queue, less the umask.
    max_messages, max_message_size: capacity of a new queue, in messages and in bytes a message; None takes the kernel's
        fs.mqueue.msg_default and msgsize_default as they are now. Ignored when an existing queue is opened.
    read, write: what this handle may do.

    Raises ExistentialError (no such queue, or it exists and must not), PermissionsError, LimitError (the capacity, the
    number of queues or the bytes are over a limit: the text says which and how to raise it), each an OSError with its
    errno; ValueError and TypeError for arguments that make no sense.

    A handle is closed by close() or `with`, never by garbage collection; iterating yields (message, priority) as they
    come; pickling a handle opens the queue again by its name.
    """

    __module__ = "posix_ipc_swig"

    def __init__(
        self,
        name: str | bytes | None,
        flags: int = 0,
        mode: int = 0o600,
        max_messages: int | None = None,
        max_message_size: int | None = None,
        read: bool = True,
        write: bool = True,
    ) -> None:
        if self._open_plain(name, flags, mode, max_messages, max_message_size, read, write):
            return  # most handles, soonest; what follows looks more closely, and says what is wrong
        oflag = _checked_flags(flags, read, write)
        mode = _integer(mode, "mode")
        if not 0 <= mode <= _MODES:
            raise ValueError(f"mode must be permission bits, 0 to {_MODES:#o}, not {mode:#o}")
        if max_messages is not None:
            max_messages = _capacity(max_messages, "max_messages")
        if max_message_size is not None:
            max_message_size = _capacity(max_message_size, "max_message_size")
        if name is not None:
            self._open_or_raise(_checked_name(name), oflag, mode, max_messages, max_message_size)
            return
        if oflag & O_CREX != O_CREX:
            raise ValueError("name may be None only with O_CREX (O_CREAT | O_EXCL)")
        while True:
            try:
                return self._open_or_raise(_limits.random_name(), oflag, mode, max_messages, max_message_size)
            except QueueExistsError:
                continue

    def _open_or_raise(
        self, name: str, oflag: int, mode: int, max_messages: int | None, max_message_size: int | None
    ) -> None:
        if not oflag & O_CREAT or (max_messages is None and max_message_size is None):
            number = self._open(name, oflag, mode, 0, 0)
        else:  # the kernel takes both numbers or none
            max_messages = max_messages or _limits.default_messages()
            max_message_size = max_message_size or _limits.default_message_size()
            capacity = _limits.as_long(max_messages), _limits.as_long(max_message_size)
            number = self._open(name, oflag, mode, *capacity)
        if number:
            raise open_error(
                number,
                name,
                bool(oflag & O_CREAT),
                max_messages or _limits.default_messages(),
                max_message_size or _limits.default_message_size(),
            )

    def request_notification(self, notification: _Notification = None) -> None:
        """Ask to be told, once, when the queue goes from empty to not empty.

        notification: None cancels; an int is a signal to send to this process; a tuple (function, param) calls
            function(param) in a new daemon thread, with the signal mask of the thread that asked. What it raises goes
            to threading.excepthook.

        A second request of this process takes the place of its first. Closing a handle of the queue ends this process's
        request. Raises BusyError when another process holds a request, ValueError for any other shape of notification,
        ExistentialError when the handle is closed. POSIX.1-2017, mq_notify().
        """
        notify.request(self, notification)

    def listen(self, handler: Callable[[bytes, int], object]) -> Listening:
        """Call handler(message, priority) for every message, in a daemon thread, until stopped.

        The object returned has stop(timeout=None), and stops at the end of a `with`. Closing the handle ends it too. It
        needs no notification request, and goes on when the object and the handle are dropped. What the handler raises
        goes to threading.excepthook, and the next message is handled. A forked child has no such thread.

        Raises PermissionsError when the handle may not read, ExistentialError when it is closed, RuntimeError when no
        thread can be started. Linux, mq_overview(7): polling message queue descriptors.
        """
        return Listening(self, handler)

    def unlink(self) -> None:
        """Remove the queue's name now, and the queue once its last handle is closed.

        Works on a closed handle too. Raises ExistentialError when the name is gone already, PermissionsError.
        POSIX.1-2017, mq_unlink().
        """
        _unlink(self.name)

    def __enter__(self) -> Self:
        self.fileno()  # a closed handle says so here, not at its first use
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.close()
        except ExistentialError:
            return  # closed inside, or by another thread just now

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        return iter(self.receive, None)

    def __reduce__(self) -> tuple[Any, ...]:
        self.fileno()
        arguments = (
            type(self),
            self.name,
            0 if self.block else O_NONBLOCK,
            self.mode,
            self._readable,
            self._writable,
        )
        return _reopen, arguments, self.__dict__ or None

    def __str__(self) -> str:
        if not self.name:
            return repr(self)
        try:
            state = f"{self.current_messages} messages"
        except ExistentialError:
            state = "closed"
        return f"{self.name} ({state})"

    def __repr__(self) -> str:
        if not self.name:  # None: the constructor failed; a traceback may show what it left
            return f"<{type(self).__module__}.{type(self).__qualname__} that was not opened>"
        try:
            state = f"max_messages={self.max_messages}, max_message_size={self.max_message_size}, mqd={self.mqd}"
        except ExistentialError:
            state = "closed=True"
        return (
            f"{type(self).__module__}.{type(self).__qualname__}({self.name!r}, mode={self.mode:#o}, "
            f"read={self._readable}, write={self._writable}, {state})"
        )


def unlink_message_queue(name: str | bytes) -> None:
    """Remove a queue's name now, and the queue once its last handle is closed.

    Raises ExistentialError when no queue has that name, PermissionsError when it is another user's, ValueError and
    TypeError for what is no name. POSIX.1-2017, mq_unlink().
    """
    _unlink(_checked_name(name))


def _unlink(name: str) -> None:
    try:
        _mqueue.mq_unlink(name)
    except OSError as error:
        raise unlink_error(error.errno or 0, name) from None


def _reopen(kind: type[MessageQueue], name: str, flags: int, mode: int, read: bool, write: bool) -> MessageQueue:
    """Open a pickled handle's queue again."""
    queue = kind.__new__(kind)
    MessageQueue.__init__(queue, name, flags, mode, read=read, write=write)
    return queue


def _checked_name(name: str | bytes) -> str:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"name must be str, bytes or None, not {type(name).__name__}")
    text = name if isinstance(name, str) else os.fsdecode(name)
    if text[:1] != "/":
        raise ValueError(f"name must begin with a slash, unlike {text!r}")
    if text in ("/", "/.", "/.."):
        raise ValueError(f"name must have more after its slash than {text!r} has")
    if "/" in text[1:]:
        raise ValueError(f"name must have no slash but its first, unlike {text!r}")
    if "\0" in text:
        raise ValueError(f"name must not hold a NUL character, unlike {text!r}")
    size = len(text if text.isascii() else os.fsencode(text)) - 1
    if size > _limits.NAME_MAX:
        raise ValueError(f"name has {size} bytes after its slash, over NAME_MAX={_limits.NAME_MAX}")
    return text


def _checked_flags(flags: int, read: bool, write: bool) -> int:
    """Return mq_open()'s oflag."""
    if not (read or write):
        raise ValueError("read and write are both False: such a handle could do nothing")
    access = O_RDWR if read and write else O_WRONLY if write else O_RDONLY
    flags = _integer(flags, "flags")
    if flags & ~(_CREATION | O_RDWR | O_WRONLY):
        raise ValueError(
            f"flags has bits that mean nothing here: {flags & ~_CREATION:#x}; "
            "it takes O_CREAT, O_EXCL (O_CREX is both), O_TRUNC and O_NONBLOCK"
        )
    if flags & O_CREX == O_EXCL:
        raise ValueError("O_EXCL must come with O_CREAT; O_CREX is both")
    if flags & ~_CREATION not in (0, access):
        raise ValueError("flags and the parameters read and write contradict each other; read and write are enough")
    return flags | access


def _integer(value: int, parameter: str) -> int:
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{parameter} must be an int, not {type(value).__name__}") from None


def _capacity(value: int, parameter: str) -> int:
    value = _integer(value, parameter)
    if value <= 0:
        raise ValueError(f"{parameter} must be 1 or more, not {value}")
    return value
