"""The module's constants."""

from __future__ import annotations

import os
import sys

from . import _limits

try:
    from . import _mqueue
except ImportError as _missing:
    if "interpreter" in str(_missing):  # it is here, and says why it cannot be used
        raise
    if sys.platform == "linux":
        raise ImportError(
            "posix_ipc_swig's C extension is not here. This may be the source tree, where nothing is built: "
            "install the package (pip install .) and run Python from another folder. "
            f"The import said: {_missing}"
        ) from _missing
    _mqueue = None

MESSAGE_QUEUES_SUPPORTED: bool = _mqueue is not None and _mqueue.queues_supported()
UNSUPPORTED_REASON = (
    f"{sys.platform} has none that this library knows; it runs on Linux"
    if _mqueue is None
    else "this kernel was built without them (CONFIG_POSIX_MQUEUE)"
)

QUEUE_PRIORITY_MAX: int = 32767 if _mqueue is None else _mqueue.MQ_PRIO_MAX - 1
USER_SIGNAL_MIN: int = 0 if _mqueue is None else _mqueue.SIGRTMIN
USER_SIGNAL_MAX: int = 0 if _mqueue is None else _mqueue.SIGRTMAX

O_RDONLY = os.O_RDONLY
O_WRONLY = os.O_WRONLY
O_RDWR = os.O_RDWR
O_CREAT = os.O_CREAT
O_EXCL = os.O_EXCL
O_CREX = O_CREAT | O_EXCL
O_TRUNC = os.O_TRUNC
O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # Windows has none

# What they were at import; a queue made later gets what they are then.
QUEUE_MESSAGES_MAX_DEFAULT = _limits.default_messages()
QUEUE_MESSAGE_SIZE_MAX_DEFAULT = _limits.default_message_size()
