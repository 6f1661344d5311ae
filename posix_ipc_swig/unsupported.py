"""What stands in for MessageQueue where the system has no message queues."""

from __future__ import annotations

from .constants import UNSUPPORTED_REASON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class MessageQueue:
    """Raises NotImplementedError, and says why: see MESSAGE_QUEUES_SUPPORTED."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"POSIX message queues are not supported: {UNSUPPORTED_REASON}")


def unlink_message_queue(name: str | bytes) -> NoReturn:
    """Raise NotImplementedError, and say why."""
    raise NotImplementedError(f"POSIX message queues are not supported: {UNSUPPORTED_REASON}")
