"""Listening: a handler that is called with every message, until it is stopped.

It waits with poll(2) on the queue's own descriptor (Linux: mq_overview(7)), not by notification. A notification tells
of one moment, the one when the queue stops being empty, and has to be asked for again before the next; poll tells of a
state, so there is no moment to miss. And a queue has one notification request, system-wide: this leaves it to others.
"""

from __future__ import annotations

import _thread
import errno
import os
import sys

from . import _mqueue
from .errors import BusyError, ExistentialError, operation_error
from .notify import _start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .queue import MessageQueue

# What a counter of eventfd(2) is written to.
_ONE = (1).to_bytes(8, sys.byteorder)


class Listening:
    """A queue that is listened to: MessageQueue.listen() makes one. `with` stops it at its end."""

    def __init__(self, queue: MessageQueue, handler: Callable[[bytes, int], object]) -> None:
        if not callable(handler):
            raise TypeError(f"handler must be callable, not {type(handler).__name__}")
        queue.fileno()  # a closed handle says so here
        if not queue._readable:
            raise operation_error(queue, "receive", errno.EBADF)
        self._queue = queue
        self._handler = handler
        self._stopping = False
        self._stopped = False
        # Who waits in stop(), each with a lock of its own that the end releases: a signal handler that raises there
        # leaves nothing behind that another would wait for.
        self._waiting: list[_thread.LockType] = []
        # A lock that a signal handler may take again, since it may interrupt stop().
        self._lock = _thread.RLock()
        self._wake: int | None = _mqueue.open_wake_counter()
        self._ident: int | None = None
        # The thread takes it; or else who could not start the thread, and ends what it would have ended.
        self._duty = [self._end]
        _running.add(self)
        try:
            _start_thread(self._listen, f"posix_ipc_swig listen {queue.name}")
        except BaseException:
            self._abandon()
            raise

    def stop(self, timeout: float | None = None) -> bool:
        """Stop listening: once this has returned True, the handler is not called any more.

        A message that was taken is handled first, so none is lost; the rest stays in the queue.

        timeout: seconds to wait for a call of the handler that runs now; None waits as long as it takes. From inside
            the handler it does not wait: the listening ends as the handler returns.

        Returns whether the listening has ended. It may be called again. Raises TypeError or ValueError, and stops
        nothing, for a timeout that is no number of seconds.
        """
        if timeout is not None and not timeout < _thread.TIMEOUT_MAX:
            if timeout != timeout:  # NaN
                raise ValueError("timeout must be None or a number of seconds, not nan")
            timeout = None
        patience = -1 if timeout is None else max(timeout, 0)
        self._hasten()
        if _thread.get_ident() != self._ident:
            lock = _thread.allocate_lock()
            lock.acquire()
            self._waiting.append(lock)
            if not self._stopped:  # else the end may have come too early to see this lock
                lock.acquire(True, patience)
            self._waiting.remove(lock)
        return self._stopped

    @property
    def stopped(self) -> bool:
        """Whether the listening has ended: by stop(), with the handle's close(), or with a fork, in the child."""
        return self._stopped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _hasten(self) -> None:
        self._stopping = True
        with self._lock:
            if self._wake is not None:
                os.write(self._wake, _ONE)

    def _abandon(self) -> None:
        """End what could not be started. Even so there may be a thread: a signal handler raised amid the start."""
        try:
            end = self._duty.pop()
        except IndexError:
            self._hasten()
        else:
            end()

    def _listen(self) -> None:
        try:
            end = self._duty.pop()
        except IndexError:
            return
        self._ident = _thread.get_ident()
        try:
            while not self._stopping:
                assert self._wake is not None  # this thread closes it, at its end
                if self._queue._await_message(self._wake):
                    self._handle_all()
        except ExistentialError:
            if not self._queue.closed:
                raise  # the descriptor was closed behind the handle's back
        finally:
            end()

    def _handle_all(self) -> None:
        while not self._stopping:
            try:
                message, priority = self._queue.receive(0)
            except BusyError:  # another receiver may have been faster
                return
            try:
                self._handler(message, priority)
            except BaseException:
                import threading

                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

    def _end(self) -> None:
        with self._lock:
            wake, self._wake = self._wake, None
        if wake is not None:
            os.close(wake)
        _running.discard(self)
        self._stopped = True
        self._ident = None  # another thread may get it
        for lock in self._waiting[:]:
            lock.release()


_running: set[Listening] = set()


def _forget_after_fork() -> None:
    """The threads go on in the parent; in the child there are none, and what wakes the parent's is not the child's."""
    for listening in list(_running):
        listening._stopping = True
        listening._lock = _thread.RLock()  # its thread may have held it
        listening._waiting = []
        listening._end()


os.register_at_fork(after_in_child=_forget_after_fork)
