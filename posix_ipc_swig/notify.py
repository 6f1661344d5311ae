"""Notification: signals, and callbacks that never outlive what they need.

A C library makes SIGEV_THREAD from a netlink socket: 32 bytes arrive for each request, when it is answered or removed.
This module reads that socket itself, in one thread of Python's own. So a callback runs in a thread that Python started,
which threading, exit and fork know; and the request is an entry in a table, under a ticket, so that no handle and no
queue has to live for it. (The kernel's side: ipc/mqueue.c, do_mq_notify().)
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import struct
import sys
import threading

from . import _mqueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .queue import MessageQueue, _Notification

# What the kernel sends: the cookie that was given with the request, its last byte saying how the request ended.
_COOKIE = struct.Struct("=Q23xB")
_WOKEN_UP = 1
# Seconds that the listener stays when there is no request: a callback that asks again finds it there.
_LINGER = 1.0


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
    """The thread that reads the socket. There is one a process, as long as there are requests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tickets = itertools.count(1)
        self.requests: dict[int, _Request] = {}
        self.socket: int | None = None

    def add(self, request: _Request) -> int:
        """Enter a request, with the listener running. Return its ticket."""
        with self.lock:
            ticket = next(self.tickets)
            self.requests[ticket] = request
            try:
                if self.socket is None:
                    self._start()
            except BaseException:
                del self.requests[ticket]
                raise
        return ticket

    def _start(self) -> None:
        socket = _mqueue.open_notice_socket()
        thread = threading.Thread(target=self._listen, args=(socket,), name="posix_ipc_swig listener", daemon=True)
        self.socket = socket
        try:
            thread.start()
        except BaseException:
            self.socket = None
            os.close(socket)
            raise

    def _listen(self, socket: int) -> None:
        # Signals are for the program's own threads: one that they all block must stay pending, not end it here.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        while True:
            certain = any(request.armed for request in list(self.requests.values()))
            if not poll.poll(None if certain else _LINGER * 1000) and self._stop(socket):
                return
            try:
                cookie = os.read(socket, _COOKIE.size)
            except BlockingIOError:
                continue
            self._answer(*_COOKIE.unpack(cookie))

    def _answer(self, ticket: int, how: int) -> None:
        request = self.requests.pop(ticket, None)
        if request is not None and how == _WOKEN_UP:
            _start_callback(request)

    def _stop(self, socket: int) -> bool:
        """End the listener if it has nothing to listen for."""
        with self.lock:
            if self.requests:
                return False
            self.socket = None
            os.close(socket)
            return True


_listener = _Listener()


def _forget_after_fork() -> None:
    """The requests are the parent's, and so is its listener's thread; this process starts with none."""
    global _listener
    if _listener.socket is not None:
        os.close(_listener.socket)
    _listener = _Listener()


os.register_at_fork(after_in_child=_forget_after_fork)


def _start_callback(request: _Request) -> None:
    thread = threading.Thread(target=request.run, name="posix_ipc_swig callback", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end
        if not sys.is_finalizing():
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


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
    listener = _listener
    request = _Request(function, param)
    queue.fileno()  # a closed handle needs no listener
    ticket = listener.add(request)
    socket = listener.socket
    assert socket is not None  # it stays as long as there is a request
    try:
        queue._notify(_mqueue.SIGEV_THREAD, socket, ticket)
    except BaseException:
        listener.requests.pop(ticket, None)
        raise
    request.armed = True
