"""Named POSIX message queues: mq_overview(7), POSIX.1-2017 <mqueue.h>."""

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
    "unlink_message_queue",
]
