"""The limits of message queues: what they are here and now.

Linux: Documentation/admin-guide/sysctl/fs.rst, mq_overview(7), getrlimit(2).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._records import Fit, Limits

# linux/ipc_namespace.h: what no setting and no privilege exceeds.
HARD_MSG_MAX = 65536
HARD_MSGSIZE_MAX = 16 * 1024 * 1024
# The component after the slash, in bytes (NAME_MAX).
NAME_MAX = 255
# Where mq_overview(7) says to mount the queues' file system, and where every container engine does.
MOUNT = "/dev/mqueue"

# linux/proc_ns.h: the initial user namespace. Only its CAP_SYS_RESOURCE counts.
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD
_CAP_SYS_RESOURCE = 24
# linux/ipc_namespace.h: MQ_PRIO_MAX, as many nodes as a queue has at most, one a priority.
_MOST_NODES = 32768


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


def random_name() -> str:
    """Return a name that hardly any queue has."""
    return f"/posix_ipc_swig-{os.urandom(8).hex()}"


def as_long(number: int) -> int:
    """Return a capacity as C's long: what that cannot say is over every limit, and so is the largest that it can."""
    return min(number, sys.maxsize)


def queue_bytes(max_messages: int, max_message_size: int) -> int:
    """Return the bytes that a queue counts against RLIMIT_MSGQUEUE, however few messages it holds.

    max_messages, max_message_size: the queue's capacity, in messages and in bytes a message.

    Exact on 64-bit Linux 3.5 and later (getrlimit(2)); it says nothing of what other queues count already: fits() does.
    Raises TypeError or OverflowError for what is no int.
    """
    return max_messages * (48 + max_message_size) + min(max_messages, _MOST_NODES) * 48


def may_exceed_sysctls() -> bool:
    """Return whether CAP_SYS_RESOURCE lifts fs.mqueue.* to the kernel's hard limits for this thread.

    The kernel asks the initial user namespace: root of another one has the capability, and is bound all the same.
    """
    try:
        if os.stat("/proc/self/ns/user").st_ino != _INITIAL_USER_NAMESPACE:
            return False
        with open("/proc/thread-self/status", "rb") as file:
            effective = next(int(line.split()[1], 16) for line in file if line.startswith(b"CapEff:"))
    except OSError:
        return False
    return bool(effective >> _CAP_SYS_RESOURCE & 1)


def mounted_queues() -> list[tuple[os.stat_result, int | None]] | None:
    """Return each queue that /dev/mqueue shows: its stat, and the bytes that it counts (None: no right to ask).

    None where no mqueue file system is mounted there. An empty folder of that name says nothing of queues.
    """
    try:
        if not is_mqueue(MOUNT):
            return None
        names = os.listdir(MOUNT)
    except OSError:
        return None
    mine = _own_descriptors()
    found: list[tuple[os.stat_result, int | None]] = []
    for name in names:
        path = f"{MOUNT}/{name}"
        try:
            status = os.stat(path)
        except FileNotFoundError:  # unlinked meanwhile
            continue
        found.append((status, _bytes_of(path, mine.get((status.st_dev, status.st_ino)))))
    return found


def is_mqueue(path: str) -> bool:
    """Return whether a file system of type mqueue is mounted there: proc_pid_mountinfo(5)."""
    last = False
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            before, after = line.split(b" - ", 1)
            if before.split()[4] == os.fsencode(path):
                last = after.split()[0] == b"mqueue"  # a later mount hides an earlier one
    return last


def _own_descriptors() -> dict[tuple[int, int], int]:
    """Return this process's descriptors, by device and inode."""
    found: dict[tuple[int, int], int] = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            status = os.fstat(int(entry))
        except OSError:  # the listing's own, closed again
            continue
        found[status.st_dev, status.st_ino] = int(entry)
    return found


def _bytes_of(path: str, descriptor: int | None) -> int | None:
    """Return what a queue counts.

    descriptor: one that this process has of it already. It is used rather than a new one, because to close any is to
    end the process's notification request: so a process that has a request loses nothing by asking.
    """
    from . import _mqueue

    for access in (os.O_RDONLY, os.O_WRONLY):
        try:
            mqd = descriptor if descriptor is not None else os.open(path, access | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            attr = _mqueue.mq_getattr(mqd)
        except OSError:  # closed by another thread meanwhile
            return None
        finally:
            if descriptor is None:
                os.close(mqd)
        return queue_bytes(attr.mq_maxmsg, attr.mq_msgsize)
    return None


def limits() -> Limits:
    """Return the limits of message queues for this process, in its IPC namespace, now.

    To see whether /dev/mqueue shows this namespace or another, a queue of one byte is made under a random name and
    removed at once. Where none can be made, /dev/mqueue is taken for this namespace's, as it is in every container.

    Raises NotImplementedError where the system has no message queues. mq_overview(7), getrlimit(2).
    """
    _require_queues()
    from . import _mqueue
    from ._records import Limits  # dataclasses cost more to import than the rest of the package
    from .constants import QUEUE_PRIORITY_MAX

    queues, total, of_user = _existing()
    return Limits(
        msg_max=sysctl("msg_max"),
        msgsize_max=sysctl("msgsize_max"),
        queues_max=sysctl("queues_max"),
        msg_default=sysctl("msg_default"),
        msgsize_default=sysctl("msgsize_default"),
        hard_msg_max=HARD_MSG_MAX,
        hard_msgsize_max=HARD_MSGSIZE_MAX,
        priority_max=QUEUE_PRIORITY_MAX,
        name_max=NAME_MAX,
        rlimit_msgqueue=_mqueue.getrlimit(_mqueue.RLIMIT_MSGQUEUE),
        may_exceed_sysctls=may_exceed_sysctls(),
        queues=queues,
        bytes=total,
        user_bytes=of_user,
    )


def _existing() -> tuple[int | None, int | None, int | None]:
    """Return the queues of this namespace, the bytes that they count, and those of this user's; None: not known."""
    found = mounted_queues()
    if found is None:
        return None, None, None
    try:
        device = _make_and_remove(1, 1)
    except OSError:
        device = None  # a limit is met; nothing can be compared
    if device not in (None, os.stat(MOUNT).st_dev):
        return None, None, None
    all_sizes = [size for _, size in found]
    my_sizes = [size for status, size in found if status.st_uid == os.getuid()]
    return len(found), _sum(all_sizes), _sum(my_sizes)


def _sum(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def fits(max_messages: int | None = None, max_message_size: int | None = None) -> Fit:
    """Return whether a queue of this capacity can be made now; the result is true or false, and says why.

    max_messages, max_message_size: as for MessageQueue, in messages and in bytes a message; None takes the default.

    It asks the only one who knows, since what this user's queues count elsewhere cannot be read: the kernel makes the
    queue, under a random name, and it is removed at once. A refusal makes nothing. What fits now may not fit later.

    Raises ValueError and TypeError as MessageQueue does, NotImplementedError where the system has no message queues.
    """
    _require_queues()
    from ._records import Fit
    from .errors import open_error
    from .queue import _capacity

    messages = default_messages() if max_messages is None else _capacity(max_messages, "max_messages")
    size = default_message_size() if max_message_size is None else _capacity(max_message_size, "max_message_size")
    needed = queue_bytes(messages, size)
    try:
        _make_and_remove(messages, size)
    except OSError as refusal:
        error = open_error(refusal.errno or 0, "", True, messages, size)
        return Fit(messages, size, needed, error.errno or 0, error.strerror or "")
    return Fit(messages, size, needed)


def _require_queues() -> None:
    from .constants import MESSAGE_QUEUES_SUPPORTED, UNSUPPORTED_REASON

    if not MESSAGE_QUEUES_SUPPORTED:
        raise NotImplementedError(f"POSIX message queues are not supported: {UNSUPPORTED_REASON}")


def _make_and_remove(max_messages: int, max_message_size: int) -> int:
    """Make a queue and remove it; return the number of its device, of which each IPC namespace has one."""
    from . import _mqueue

    name = random_name()
    attr = _mqueue.mq_attr(0, as_long(max_messages), as_long(max_message_size))
    mqd = _mqueue.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, attr)
    try:
        _mqueue.mq_unlink(name)
        return os.fstat(mqd).st_dev
    finally:
        _mqueue.mq_close(mqd)
