"""What is asked: one case is one row of a table, the same work done by every subject."""

from __future__ import annotations

from dataclasses import dataclass

FLOOR = "C loop"
BARE = "bare interpreter"
PEER = "posix_ipc"
OURS = "posix_ipc_swig"
RAW = "posix_ipc_swig.raw"


@dataclass(frozen=True)
class Target:
    """What OURS is to reach: at most these ratios to PEER and to FLOOR, or so many seconds more than the floor."""

    row: str
    to_peer: float | None = None
    to_floor: float | None = None
    over_floor: float | None = None


@dataclass(frozen=True)
class Case:
    """One question about one size.

    size: bytes a message. timeout: seconds, of both calls, or None. max_messages, max_message_size: the queue's
    capacity. work: what loop.c calls it. slowness: a round takes that many times as long as others do, because what
    happens in it is noisier.
    """

    name: str
    question: str
    unit: str
    work: str
    size: int = 64
    timeout: int | None = None
    max_messages: int = 10
    max_message_size: int = 64
    slowness: int = 1
    target: Target | None = None

    @property
    def message(self) -> bytes:
        return b"x" * self.size
