"""What limits() and fits() return. Loaded when first asked for: dataclasses cost more to import than the package."""

from __future__ import annotations

from dataclasses import dataclass

from . import _limits


@dataclass(frozen=True)
class Limits:
    """The limits of message queues where and when limits() was called. None: this system does not tell."""

    # fs.mqueue.* of the IPC namespace that the process is in.
    msg_max: int | None
    """Messages that a queue may be made for."""
    msgsize_max: int | None
    """Bytes that a message of a queue may be allowed."""
    queues_max: int | None
    """Queues in the namespace."""
    msg_default: int | None
    """Messages of a queue that is made without saying how many (never more than msg_max)."""
    msgsize_default: int | None
    """Bytes a message of such a queue (never more than msgsize_max)."""
    hard_msg_max: int
    """The kernel's own ceiling over msg_max, which no setting and no privilege exceeds."""
    hard_msgsize_max: int
    """The kernel's own ceiling over msgsize_max."""
    priority_max: int
    """The highest priority of a message: MQ_PRIO_MAX - 1."""
    name_max: int
    """Bytes of a name after its slash."""
    rlimit_msgqueue: tuple[int, int]
    """Bytes that all queues of this user may count, in all namespaces: soft and hard limit; -1 is no limit."""
    may_exceed_sysctls: bool
    """Whether CAP_SYS_RESOURCE lifts msg_max, msgsize_max and queues_max for this process (never the byte limit)."""
    queues: int | None
    """Queues that exist in the namespace; None where no mqueue file system of it is mounted at /dev/mqueue."""
    bytes: int | None
    """Bytes that those count; None also when one of them is closed to this process."""
    user_bytes: int | None
    """Bytes that this user's queues among them count: at least so many of rlimit_msgqueue are spent. There may be more,
    in other namespaces and in queues that are unlinked and still open, which nothing shows."""

    @property
    def messages_allowed(self) -> int:
        """Messages that a queue of this process may be made for, if bytes allow: msg_max, or the hard one."""
        return _ceiling(self.msg_max, self.hard_msg_max, self.may_exceed_sysctls)

    @property
    def message_size_allowed(self) -> int:
        """Bytes that a message of a queue of this process may be allowed, if the byte limit does."""
        return _ceiling(self.msgsize_max, self.hard_msgsize_max, self.may_exceed_sysctls)

    def count(self, max_messages: int, max_message_size: int) -> int | None:
        """Return how many more queues of this capacity fit, as far as the numbers here tell: there may be fewer.

        max_messages, max_message_size: in messages and in bytes a message. Returns None where nothing bounds them.
        """
        if max_messages > self.messages_allowed or max_message_size > self.message_size_allowed:
            return 0
        bounds: list[int] = []
        if self.rlimit_msgqueue[0] != -1:
            left = self.rlimit_msgqueue[0] - (self.user_bytes or 0)
            bounds.append(left // _limits.queue_bytes(max_messages, max_message_size))
        if self.queues_max is not None and not self.may_exceed_sysctls:
            bounds.append(self.queues_max - (self.queues or 0))
        return max(0, min(bounds)) if bounds else None


def _ceiling(soft: int | None, hard: int, lifted: bool) -> int:
    return hard if lifted or soft is None else min(soft, hard)


@dataclass(frozen=True)
class Fit:
    """What fits() found: true when the queue fits."""

    max_messages: int
    """The capacity that was tried, in messages."""
    max_message_size: int
    """The capacity that was tried, in bytes a message."""
    bytes: int
    """Bytes that such a queue counts against RLIMIT_MSGQUEUE."""
    errno: int = 0
    """The errno of the refusal; 0 when the queue fits."""
    reason: str = ""
    """The text of the error that MessageQueue would raise: which limit, its value, the value asked, what to do."""

    def __bool__(self) -> bool:
        return self.errno == 0
