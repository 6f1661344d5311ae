"""Notification: signals, and callbacks that never outlive what they need.

A C library makes SIGEV_THREAD from a netlink socket: 32 bytes arrive for each request, when it is answered or removed.
This module reads that socket itself, in a thread of Python's own. So a callback runs in a thread that Python started,
which threading, exit and fork know; and the request is an entry in a table, under a ticket, so that no handle and no
queue has to live for it. (The kernel's side: ipc/mqueue.c, do_mq_notify().)
"""

from __future__ import annotations

import atexit
import itertools
import os
import select
import signal
import struct
import threading

from . import _mqueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .queue import MessageQueue, _Notification

# What the kernel sends: the cookie that was given with the request, its last byte saying how the request ended.
_COOKIE = struct.Struct("=Q23xB")
_WOKEN_UP = 1
# Seconds that a listener stays when there is no request: a callback that asks again finds it there.
_LINGER = 1.0
# Seconds after which a callback that found no thread tries again.
_RETRY = 0.05
# Requests a socket. The kernel keeps room in it for the answer of each, some 270 of them by default, and lets a request
# that finds none wait for another's end.
_ROOM = 128


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

    def __init__(self) -> None:
        self.requests: dict[int, _Request] = {}
        # Callbacks whose time has come, when no thread could be started.
        self.late: list[_Request] = []
        self.socket = _mqueue.open_notice_socket()
        try:
            threading.Thread(target=self._listen, name="posix_ipc_swig listener", daemon=True).start()
        except BaseException:
            os.close(self.socket)
            raise

    def has_room(self) -> bool:
        if len(self.requests) >= _ROOM:
            self.answer_all()  # many may be over, with their cookies unread
        return len(self.requests) < _ROOM

    def answer_all(self) -> None:
        """Read the cookies that have come. Any thread may: each cookie is read once."""
        while True:
            try:
                cookie = os.read(self.socket, _COOKIE.size)
            except BlockingIOError:
                return
            ticket, how = _COOKIE.unpack(cookie)
            request = self.requests.pop(ticket, None)
            if request is not None and how == _WOKEN_UP and not _start_callback(request):
                self.late.append(request)

    def _listen(self) -> None:
        # Signals are for the program's own threads: one that they all block must stay pending, not end it here.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        try:
            while poll.poll(self._patience()) or not self._stop():
                self.answer_all()
                while self.late and _start_callback(self.late[0]):
                    del self.late[0]
        except BaseException:  # somebody closed the socket: requests to come need another
            with _lock:
                _listeners.remove(self)
            raise

    def _patience(self) -> float | None:
        """How many milliseconds to wait for a cookie; None when one is sure to come."""
        if self.late:
            return _RETRY * 1000
        with _lock:
            certain = any(request.armed for request in list(self.requests.values()))
        return None if certain else _LINGER * 1000

    def _stop(self) -> bool:
        """End the listener if it has nothing to listen for."""
        with _lock:
            # First out of sight: a finalizer may run here, and make a request.
            _listeners.remove(self)
            if self.requests or self.late:
                _listeners.append(self)
                return False
            os.close(self.socket)
            return True


_listeners: list[_Listener] = []
_tickets = itertools.count(1)
# A signal handler or a finalizer may make a request in the midst of another: the lock must let it.
_lock = threading.RLock()


def _enter(request: _Request) -> tuple[_Listener, int]:
    """Give a request a ticket and a listener that runs."""
    with _lock:
        ticket = next(_tickets)
        for listener in _listeners:
            if listener.has_room():
                break
        else:
            if _ended:
                raise RuntimeError("no callback can be asked for: the interpreter is ending")
            listener = _Listener()
            _listeners.append(listener)
        listener.requests[ticket] = request
    return listener, ticket


def _forget_after_fork() -> None:
    """The requests are the parent's, and so are its listeners' threads; this process starts with none."""
    global _lock
    _lock = threading.RLock()
    for listener in _listeners:
        os.close(listener.socket)
    _listeners.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


_ended = False


def _end() -> None:
    """Start no more callbacks: a thread that begins while the interpreter ends crashes CPython before 3.12."""
    global _ended
    with _lock:  # one that is being started has begun by then
        _ended = True


atexit.register(_end)


def _start_callback(request: _Request) -> bool:
    """False when there is no thread to be had now."""
    with _lock:
        if _ended:
            return True
        try:
            threading.Thread(target=request.run, name="posix_ipc_swig callback", daemon=True).start()
        except (RuntimeError, MemoryError):
            return False
    return True


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
