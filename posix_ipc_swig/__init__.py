"""Named POSIX message queues: mq_overview(7), POSIX.1-2017 <mqueue.h>."""

from ._limits import fits, limits, queue_bytes
from ._version import VERSION
from .constants import (
    MESSAGE_QUEUES_SUPPORTED,
    O_CREAT,
    O_CREX,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
    QUEUE_MESSAGES_MAX_DEFAULT,
    QUEUE_PRIORITY_MAX,
    USER_SIGNAL_MAX,
    USER_SIGNAL_MIN,
)
from .errors import (
    BusyError,
    Error,
    ExistentialError,
    LimitError,
    PermissionsError,
    QueueExistsError,
    QueueNotFoundError,
    SignalError,
)

TYPE_CHECKING = False  # importing typing would cost more than everything else here
if TYPE_CHECKING or MESSAGE_QUEUES_SUPPORTED:
    from .queue import MessageQueue, unlink_message_queue
else:
    from .unsupported import MessageQueue, unlink_message_queue

if TYPE_CHECKING:
    from ._records import Fit as Fit
    from ._records import Limits as Limits
else:

    def __getattr__(name):
        # What limits() and fits() return: dataclasses cost more to import than the rest of the package.
        if name in ("Fit", "Limits"):
            from . import _records

            return getattr(_records, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = VERSION

__all__ = [
    "MESSAGE_QUEUES_SUPPORTED",
    "O_CREAT",
    "O_CREX",
    "O_EXCL",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "QUEUE_MESSAGES_MAX_DEFAULT",
    "QUEUE_MESSAGE_SIZE_MAX_DEFAULT",
    "QUEUE_PRIORITY_MAX",
    "USER_SIGNAL_MAX",
    "USER_SIGNAL_MIN",
    "VERSION",
    "BusyError",
    "Error",
    "ExistentialError",
    "LimitError",
    "MessageQueue",
    "PermissionsError",
    "QueueExistsError",
    "QueueNotFoundError",
    "SignalError",
    "__version__",
    "fits",
    "limits",
    "queue_bytes",
    "unlink_message_queue",
]
