"""Notification: signals, and callbacks that never outlive what they need.

A C library makes SIGEV_THREAD from a netlink socket: 32 bytes arrive for each request, when it is answered or removed.
This module reads that socket itself, in a thread of Python's own. So a callback runs in a thread that Python started,
which threading, exit and fork know; and the request is an entry in a table, under a ticket, so that no handle and no
queue has to live for it. (The kernel's side: ipc/mqueue.c, do_mq_notify().)
"""

from __future__ import annotations

import _thread
import atexit
import itertools
import os
import sys
import time

from . import _mqueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, Callable

    from .queue import MessageQueue, _Notification
else:
    import _signal as signal  # the same functions without the enums, which most programs never need

# What the kernel sends: the 32 bytes that were given with the request, the last one saying how the request ended.
_COOKIE = 32
_WOKEN_UP = 1
# Seconds that a listener stays when there is no request: a callback that asks again finds it there.
_LINGER = 1.0
# Seconds after which a callback that found no thread tries again.
_RETRY = 0.05
# Requests a socket. The kernel keeps room in it for the answer of each, some 270 of them by default, and lets a request
# that finds none wait for another's end.
_ROOM = 128
# What wakes a listener: eventfd(2).
_ONE = (1).to_bytes(8, sys.byteorder)


class _Request:
    """A callback that waits for its notification."""

    __slots__ = ("armed", "function", "mask", "param")

    def __init__(self, function: Callable[[Any], object], param: Any) -> None:
        self.function = function
        self.param = param
        self.mask: set[int] = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        # Whether the kernel has it: from then on it ends with a cookie.
        self.armed = False

    def run(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        self.function(self.param)


class _Listener:
    """A socket, and the thread that reads it. A process has one, or as many as its requests need."""

    def __init__(self, ticket: int, request: _Request) -> None:
        self.requests: dict[int, _Request] = {ticket: request}
        self.cookies: dict[bytes, None] = {}  # read and not yet looked at, in their order
        # Callbacks whose time has come, by their tickets.
        self.due: dict[int, _Request] = {}
        self.socket = _mqueue.open_notice_socket()
        try:
            self.wake = _mqueue.open_wake_counter()
        except BaseException:
            os.close(self.socket)
            raise
        # The thread takes it; or else who could not start the thread, and closes what it would have closed.
        self._descriptors = [(self.socket, self.wake)]
        try:
            _start_thread(self._listen, "posix_ipc_swig listener")
        except BaseException:
            # Even so there may be a thread: a signal handler raised this.
            for descriptors in self._descriptors[:]:
                self._descriptors.remove(descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
            raise

    def collect(self) -> None:
        """Read the cookies that have come. Any thread may that has the lock.

        A signal handler may raise between any two steps, or collect itself: each step can be done again.
        """
        self._read()
        for cookie in list(self.cookies):
            ticket = int.from_bytes(cookie[:8], sys.byteorder)
            request = self.requests.get(ticket)
            if request is not None and cookie[-1] == _WOKEN_UP:
                self.due[ticket] = request
            self.requests.pop(ticket, None)
            self.cookies.pop(cookie, None)

    def _read(self) -> None:
        cookies = map(os.read, itertools.repeat(self.socket), itertools.repeat(_COOKIE))
        try:
            self.cookies.update(zip(cookies, itertools.repeat(None)))  # one call: no handler comes between
        except BlockingIOError:
            return

    def _listen(self) -> None:
        import select

        try:
            self._descriptors.pop()
        except IndexError:
            return
        # Signals are for the program's own threads: one that they all block must stay pending, not end it here.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        try:
            while True:
                ready = poll.poll(self._patience())
                if not ready and self._stop():
                    return
                if any(descriptor == self.wake for descriptor, _ in ready):
                    os.read(self.wake, len(_ONE))
                self._answer()
        except BaseException:  # somebody closed the socket: requests to come need another
            with _lock:
                if self in _listeners:
                    _listeners.remove(self)
            raise

    def _answer(self) -> None:
        """Start the callbacks that are due: only this thread does, which no signal handler interrupts."""
        with _lock:
            self.collect()
        for ticket, request in list(self.due.items()):
            self.requests.pop(ticket, None)
            if not _start_callback(request):
                return
            del self.due[ticket]

    def _patience(self) -> float | None:
        """How many milliseconds to wait for a cookie; None when one is sure to come."""
        if self.due:
            return _RETRY * 1000
        certain = any(request.armed for request in list(self.requests.values()))
        return None if certain else _LINGER * 1000

    def _stop(self) -> bool:
        """End the listener if it has nothing to listen for."""
        with _lock:
            # First out of sight: a finalizer may run here, and make a request.
            known = self in _listeners
            if known:
                _listeners.remove(self)
            if self.requests or self.cookies or self.due:
                if known:
                    _listeners.append(self)
                return False
            os.close(self.socket)
            os.close(self.wake)
            return True


_listeners: list[_Listener] = []
_tickets = itertools.count(1)
# A signal handler or a finalizer may make a request in the midst of another: the lock must let it. And no other lock is
# taken under it, such as those of threading: a handler may have interrupted who holds that one.
_lock = _thread.RLock()
# Threads that are being started.
_starting = 0
_ended = False


def _enter(request: _Request) -> tuple[_Listener, int]:
    """Give a request a ticket and a listener that runs."""
    with _lock:
        ticket = next(_tickets)
        for listener in _listeners:
            if len(listener.requests) >= _ROOM:
                listener.collect()  # many may be over, with their cookies unread
                os.write(listener.wake, _ONE)
            if len(listener.requests) < _ROOM:
                listener.requests[ticket] = request
                return listener, ticket
    listener = _Listener(ticket, request)
    with _lock:
        _listeners.append(listener)
    return listener, ticket


def _start_thread(target: Callable[[], None], name: str) -> None:
    """Raises RuntimeError or MemoryError where there is no thread to be had now."""
    global _starting
    with _lock:
        if _ended:
            raise RuntimeError("no thread can be started: the interpreter is ending")
        _starting += 1
    try:
        if _threading_is_here():
            import threading

            threading.Thread(target=target, name=name, daemon=True).start()
        else:
            _thread.start_new_thread(target, ())
    finally:
        with _lock:
            _starting -= 1


def _threading_is_here() -> bool:
    """Import what threads need, which costs more than most programs, which never ask for a callback, need to pay.

    False in a signal handler that has interrupted the main thread in that import: what it has so far is of no use, and
    there is no waiting for the rest. A thread can wait.
    """
    try:
        import select
        import threading
    except (ImportError, AttributeError):  # the same with a module that these need
        return False
    return not any(getattr(module.__spec__, "_initializing", False) for module in (select, threading))


def _start_callback(request: _Request) -> bool:
    """False when there is no thread to be had now."""
    try:
        _start_thread(request.run, "posix_ipc_swig callback")
    except (RuntimeError, MemoryError):
        return _ended
    return True


def _forget_after_fork() -> None:
    """The requests are the parent's, and so are its listeners' threads; this process starts with none."""
    global _lock, _starting
    _lock = _thread.RLock()
    _starting = 0
    for listener in _listeners:
        os.close(listener.socket)
        os.close(listener.wake)
    _listeners.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


def _end() -> None:
    """Start no more threads: one that begins while the interpreter ends crashes CPython before 3.12."""
    global _ended
    with _lock:
        _ended = True
    # Those on their way are there soon. One was never on its way if a signal handler raised just before it.
    patience = time.monotonic() + 1
    while _starting and time.monotonic() < patience:
        time.sleep(0.001)


atexit.register(_end)


def request(queue: MessageQueue, notification: _Notification) -> None:
    """Do what MessageQueue.request_notification() says."""
    if notification is None:
        queue._notify(_mqueue.SIGEV_NONE, 0, 0)
    elif isinstance(notification, int):
        if notification not in signal.valid_signals():
            raise ValueError(f"notification: {notification} is no signal that a program can have")
        queue._notify(_mqueue.SIGEV_SIGNAL, notification, 0)
    elif isinstance(notification, tuple) and len(notification) == 2 and callable(notification[0]):
        _request_callback(queue, *notification)
    else:
        raise ValueError(
            f"notification must be None, a signal number or a tuple (function, param), not {notification!r}"
        )


def _request_callback(queue: MessageQueue, function: Callable[[Any], object], param: Any) -> None:
    request = _Request(function, param)
    queue.fileno()  # a closed handle needs no listener
    listener, ticket = _enter(request)
    try:
        queue._notify(_mqueue.SIGEV_THREAD, listener.socket, ticket)
    except BaseException:
        listener.requests.pop(ticket, None)
        raise
    request.armed = True
