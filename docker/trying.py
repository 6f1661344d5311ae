"""The limits of message queues, found by trying: what files and formulas predict, beside what the kernel does.

Everything goes through the raw bindings. Each probe queue has a name of its own and is gone as soon as it was made.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import uuid
from dataclasses import asdict, dataclass
from typing import Callable, Optional

from describing import RLIMIT_MSGQUEUE

from posix_ipc_swig import queue_bytes, raw
from posix_ipc_swig._limits import HARD_MSG_MAX, HARD_MSGSIZE_MAX
from posix_ipc_swig._limits import may_exceed_sysctls as may_exceed


@dataclass
class Finding:
    """One limit: where it is written, what it predicts, what trying found, and what to know about the two."""

    limit: str
    meaning: str
    unit: str
    predicted: Optional[int]
    found: Optional[int]
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.predicted is None or self.found is None:
            return "not run"
        return "passed" if self.predicted == self.found else "failed"

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "verdict": self.verdict}


def sysctl(name: str) -> int:
    with open(f"/proc/sys/fs/mqueue/{name}") as file:
        return int(file.read())


def errno_of_making(max_messages: int, max_message_size: int, name: Optional[str] = None) -> int:
    """Make a queue and remove it again; return 0, or the errno that making it gave."""
    name = name or f"/trying-{uuid.uuid4().hex}"
    try:
        mqd = raw.mq_open(
            name, raw.O_CREAT | raw.O_EXCL | raw.O_RDWR, 0o600, raw.mq_attr(0, max_messages, max_message_size)
        )
    except OSError as error:
        return error.errno or 0
    raw.mq_unlink(name)
    raw.mq_close(mqd)
    return 0


def largest(works: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number from low to high that works, by bisection; low - 1 where none does."""
    if works(high):
        return high
    low -= 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low


def messages() -> Finding:
    ceiling = HARD_MSG_MAX if may_exceed() else sysctl("msg_max")
    allowed = resource.getrlimit(RLIMIT_MSGQUEUE)[0]
    in_bytes = largest(lambda number: queue_bytes(number, 1) <= allowed, 1, HARD_MSG_MAX)
    return Finding(
        "fs.mqueue.msg_max",
        "messages that a queue may be made for",
        "messages",
        min(ceiling, in_bytes),
        largest(lambda number: errno_of_making(number, 1) == 0, 1, HARD_MSG_MAX + 1),
        "" if ceiling <= in_bytes else f"the byte limit, {allowed:,}, is met before {ceiling:,} messages are",
    )


def message_size() -> Finding:
    ceiling = HARD_MSGSIZE_MAX if may_exceed() else sysctl("msgsize_max")
    allowed = resource.getrlimit(RLIMIT_MSGQUEUE)[0]
    in_bytes = largest(lambda size: queue_bytes(1, size) <= allowed, 1, HARD_MSGSIZE_MAX)
    return Finding(
        "fs.mqueue.msgsize_max",
        "bytes that a message may be allowed",
        "bytes",
        min(ceiling, in_bytes),
        largest(lambda size: errno_of_making(1, size) == 0, 1, HARD_MSGSIZE_MAX + 1),
        "" if ceiling <= in_bytes else f"the byte limit, {allowed:,}, is met before a message of {ceiling:,} bytes is",
    )


def make_until_refused(max_messages: int, max_message_size: int, most: int) -> tuple[int, int]:
    """Make queues until one is refused or there are `most`; return how many, and the errno of the refusal."""
    made = []
    error = 0
    try:
        while len(made) < most and error == 0:
            name = f"/trying-{uuid.uuid4().hex}"
            try:
                flags = raw.O_CREAT | raw.O_EXCL | raw.O_RDWR
                mqd = raw.mq_open(name, flags, 0o600, raw.mq_attr(0, max_messages, max_message_size))
            except OSError as refusal:
                error = refusal.errno or 0
            else:
                made.append(name)
                raw.mq_close(mqd)
    finally:
        for name in made:
            raw.mq_unlink(name)
    return len(made), error


def queues_there() -> Optional[int]:
    """Return how many queues this IPC namespace has already, where /dev/mqueue is mounted."""
    # The directory may be there with nothing mounted on it.
    return len(os.listdir("/dev/mqueue")) if os.path.ismount("/dev/mqueue") else None


def queues() -> Finding:
    ceiling, there = sysctl("queues_max"), queues_there()
    made, error = make_until_refused(1, 1, ceiling + 8)
    finding = Finding("fs.mqueue.queues_max", "queues in this IPC namespace", "queues", ceiling, made)
    if error not in (0, errno.ENOSPC):
        finding.found, finding.note = None, f"met {errno.errorcode[error]} first, after {made} queues"
    elif error == 0 and may_exceed():
        finding.found, finding.note = None, "CAP_SYS_RESOURCE lifts this limit: none was met"
    elif there is not None:
        finding.predicted = ceiling - there
        finding.note = f"{there} of {ceiling} were there already" if there else ""
    elif made < ceiling:
        # /dev/mqueue is not mounted here, so nobody can say how many there were.
        finding.found, finding.note = (
            None,
            f"made {made}: the others were there already, and /dev/mqueue is not mounted",
        )
    return finding


def default_queues() -> Finding:
    """How many queues of the default capacity one user may have: the byte limit and queues_max together say it."""
    allowed, there = resource.getrlimit(RLIMIT_MSGQUEUE)[0], queues_there()
    max_messages = min(sysctl("msg_default"), sysctl("msg_max"))
    max_message_size = min(sysctl("msgsize_default"), sysctl("msgsize_max"))
    each, ceiling = queue_bytes(max_messages, max_message_size), sysctl("queues_max")
    in_bytes = ceiling if allowed == resource.RLIM_INFINITY else allowed // each
    made, error = make_until_refused(max_messages, max_message_size, ceiling + 8)
    note = f"{max_messages} x {max_message_size:,}, {each:,} bytes each"
    finding = Finding("default queues", "queues of the default capacity", "queues", None, made, note)
    if in_bytes >= ceiling and (may_exceed() or there is None):
        finding.found, finding.note = None, "CAP_SYS_RESOURCE, or queues that cannot be counted, hide where this ends"
    else:
        finding.predicted = min(in_bytes, ceiling - (there or 0))
        expected = errno.EMFILE if in_bytes < ceiling - (there or 0) else errno.ENOSPC
        if in_bytes != ceiling - (there or 0) and error != expected:
            finding.found = None
            finding.note = f"met {errno.errorcode.get(error, 'no error')} after {made} queues: {note}"
    return finding


def byte_limit() -> Finding:
    """RLIMIT_MSGQUEUE: fill it with the largest queues that fit, then ever smaller ones; add up what they count."""
    soft = resource.getrlimit(RLIMIT_MSGQUEUE)[0]
    finding = Finding("RLIMIT_MSGQUEUE", "bytes that all queues of a user may count", "bytes", soft, None)
    if soft == resource.RLIM_INFINITY:
        finding.predicted, finding.note = None, "unlimited"
        return finding
    smallest = queue_bytes(1, 1)
    # Large ones first, as queues_max may allow few.
    number = HARD_MSG_MAX if may_exceed() else sysctl("msg_max")
    size = HARD_MSGSIZE_MAX if may_exceed() else sysctl("msgsize_max")
    made, total = [], 0
    try:
        while size > 0:
            name = f"/trying-{uuid.uuid4().hex}"
            try:
                flags = raw.O_CREAT | raw.O_EXCL | raw.O_RDWR
                mqd = raw.mq_open(name, flags, 0o600, raw.mq_attr(0, number, size))
            except OSError as refusal:
                if refusal.errno == errno.ENOSPC:
                    finding.note = f"met fs.mqueue.queues_max first, at {total:,} bytes"
                    return finding
                # EINVAL and EOVERFLOW: no limit of the system, but more than the kernel can count.
                if refusal.errno not in (errno.EMFILE, errno.EINVAL, errno.EOVERFLOW, errno.ENOMEM):
                    raise
                number, size = (number // 2, size) if number > 1 else (1, size // 2)
            else:
                made.append(name)
                raw.mq_close(mqd)
                total += queue_bytes(number, size)
    finally:
        for name in made:
            raw.mq_unlink(name)
    # What is left is less than the smallest queue counts, so the limit lies between the two.
    if total <= soft < total + smallest:
        finding.found = soft
        finding.note = f"queues counting {total:,} bytes were made, and one of {smallest} more was refused"
    else:
        finding.found = total
        finding.note = "other queues of this user count too, perhaps in other IPC namespaces" if total < soft else ""
    return finding


def priority() -> Finding:
    name = f"/trying-{uuid.uuid4().hex}"
    mqd = raw.mq_open(name, raw.O_CREAT | raw.O_EXCL | raw.O_RDWR | raw.O_NONBLOCK, 0o600, raw.mq_attr(0, 1, 1))
    raw.mq_unlink(name)

    def works(number: int) -> bool:
        try:
            raw.mq_send(mqd, b"", number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return raw.mq_receive(mqd, 1) == (b"", number)

    try:
        found = largest(works, 0, 2**20)
    finally:
        raw.mq_close(mqd)
    return Finding("MQ_PRIO_MAX - 1", "highest priority of a message", "", raw.MQ_PRIO_MAX - 1, found)


def name_length() -> Finding:
    unique = uuid.uuid4().hex
    found = largest(lambda length: errno_of_making(1, 1, "/" + unique.ljust(length, "x")) == 0, len(unique), 4096)
    return Finding("NAME_MAX", "bytes of a name after its slash", "bytes", 255, found)


LIMITS = (messages, message_size, queues, default_queues, byte_limit, priority, name_length)


if __name__ == "__main__":
    print(json.dumps([probe().as_dict() for probe in LIMITS]))
