"""The mq_* functions of <mqueue.h>, as they are.

C names, C argument order, C meaning; made by SWIG from swig/*.i. Each does what its C function does once: no retry
after a signal, no defaults, no checks of its own. Every failure of theirs is an OSError with its errno; EINTR runs the
Python signal handlers first. What C cannot be given is TypeError, ValueError (a NUL in a name, a negative size),
OverflowError (a number too large for its C type) or BufferError. The interpreter lock is free while a call may wait.

mq_open(name, oflag, mode=0, attr=None) -> mqd
mq_close(mqdes); mq_unlink(name)
mq_send(mqdes, msg_ptr, msg_prio): msg_ptr is any contiguous buffer
mq_timedsend(mqdes, msg_ptr, msg_prio, abs_timeout): abs_timeout is a timespec on the wall clock
mq_receive(mqdes, size) -> (bytes, priority): size must be at least the queue's mq_msgsize
mq_timedreceive(mqdes, size, abs_timeout) -> (bytes, priority)
mq_notify(mqdes, sigevent): None cancels; SIGEV_THREAD calls sigev_notify_function(sigev_value) in a C library's thread
mq_getattr(mqdes) -> mq_attr
mq_setattr(mqdes, mq_attr) -> the mq_attr before: only O_NONBLOCK in mq_flags counts

POSIX.1-2017, System Interfaces, mq_open() and its neighbours.
"""

from ._mqueue import (
    MQ_PRIO_MAX,
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    mq_attr,
    mq_close,
    mq_getattr,
    mq_notify,
    mq_open,
    mq_receive,
    mq_send,
    mq_setattr,
    mq_timedreceive,
    mq_timedsend,
    mq_unlink,
    sigevent,
    timespec,
)

__all__ = [
    "MQ_PRIO_MAX",
    "O_CLOEXEC",
    "O_CREAT",
    "O_EXCL",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_WRONLY",
    "SIGEV_NONE",
    "SIGEV_SIGNAL",
    "SIGEV_THREAD",
    "mq_attr",
    "mq_close",
    "mq_getattr",
    "mq_notify",
    "mq_open",
    "mq_receive",
    "mq_send",
    "mq_setattr",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "sigevent",
    "timespec",
]
