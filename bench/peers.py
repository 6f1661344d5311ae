"""Who is measured: each way of getting a message across, under one interface.

A channel carries messages in one direction. sender() and receiver() return what a program would call methods of; where
two processes are asked about, each calls its own after the fork. What is called on them, statement by statement, is in
the files of the questions.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import multiprocessing
import os
import platform
import socket
import tempfile
from typing import Any

from cases import OURS, PEER, RAW, Case

import posix_ipc_swig


class Channel:
    """The base: what needs nothing but Python."""

    # Whether it runs threads, which make each system call of the whole process dearer.
    threaded = False
    # Whether several processes may send, or receive.
    shared = True
    # Bytes that it takes before a sender waits for a receiver; None: as many messages as the case says.
    room: int | None = None

    def __init__(self, case: Case) -> None:
        self.case = case

    @classmethod
    def version(cls) -> str:
        return f"{platform.python_implementation()} {platform.python_version()}"

    def names(self) -> dict[str, Any]:
        """Return what statements may call beside the sender, the receiver and the message."""
        return {}

    def sender(self) -> Any:
        raise NotImplementedError

    def receiver(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Give everything back, from the process that made the channel."""


class QueueChannel(Channel):
    """A POSIX message queue, by any of its bindings: made here, opened by name, once in each process."""

    distribution: str

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.library = importlib.import_module(self.module())
        self.name = f"/bench-{os.getpid()}-{os.urandom(4).hex()}"
        self.maker = posix_ipc_swig.MessageQueue(
            self.name,
            posix_ipc_swig.O_CREX,
            max_messages=case.max_messages,
            max_message_size=case.max_message_size,
        )
        self.opened: dict[int, Any] = {}

    @classmethod
    def module(cls) -> str:
        return cls.distribution

    @classmethod
    def version(cls) -> str:
        return importlib.metadata.version(cls.distribution)

    def open(self) -> Any:
        return self.library.MessageQueue(self.name)

    def shut(self, handle: Any) -> None:
        handle.close()

    def sender(self) -> Any:
        process = os.getpid()
        if process not in self.opened:
            self.opened[process] = self.open()
        return self.opened[process]

    receiver = sender

    def names(self) -> dict[str, Any]:
        return {"library": self.library, "name": self.name}

    def close(self) -> None:
        if os.getpid() in self.opened:
            self.shut(self.opened.pop(os.getpid()))
        self.maker.close()
        self.maker.unlink()


class Ours(QueueChannel):
    distribution = "posix_ipc_swig"


class PosixIpc(QueueChannel):
    distribution = "posix_ipc"


class Raw(QueueChannel):
    """Our raw bindings: one SWIG wrapper around one system call. The handle is a number."""

    distribution = "posix_ipc_swig"

    @classmethod
    def module(cls) -> str:
        return "posix_ipc_swig.raw"

    def open(self) -> int:
        return self.library.mq_open(self.name, self.library.O_RDWR)

    def shut(self, handle: int) -> None:
        self.library.mq_close(handle)

    def names(self) -> dict[str, Any]:
        import time

        return {**super().names(), "room": self.case.max_message_size, "time": time.time}


class Verbatim:
    """A serializer for ipcqueue that leaves bytes as they are."""

    @staticmethod
    def dumps(message: bytes) -> bytes:
        return message

    loads = dumps


class IpcQueue(QueueChannel):
    distribution = "ipcqueue"

    @classmethod
    def module(cls) -> str:
        return "ipcqueue.posixmq"

    def open(self) -> Any:
        return self.library.Queue(self.name, self.case.max_messages, self.case.max_message_size, Verbatim)

    def names(self) -> dict[str, Any]:
        import queue

        arguments = (self.case.max_messages, self.case.max_message_size, Verbatim)
        return {**super().names(), "Empty": queue.Empty, "Full": queue.Full, "arguments": arguments}


class PosixIpcModern(QueueChannel):
    """python-posixipc."""

    distribution = "python-posixipc"

    @classmethod
    def module(cls) -> str:
        return "posixipc"

    def open(self) -> Any:
        return self.library.NamedMessageQueue.attach(self.name)


class Pipe(Channel):
    shared = False
    room = 32768

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.reader, self.writer = multiprocessing.Pipe(duplex=False)

    def sender(self) -> Any:
        return self.writer

    def receiver(self) -> Any:
        return self.reader

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


class MultiprocessingQueue(Channel):
    threaded = True

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.queue = multiprocessing.get_context("fork").Queue(case.max_messages)

    def sender(self) -> Any:
        return self.queue

    receiver = sender

    def close(self) -> None:
        self.queue.cancel_join_thread()
        self.queue.close()


class SocketPair(Channel):
    """A pair of SOCK_SEQPACKET sockets: messages with bounds, first in first out."""

    room = 65536

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.left, self.right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.left, self.right):
            end.settimeout(case.timeout)

    def names(self) -> dict[str, Any]:
        return {"room": max(self.case.max_message_size, 1)}

    def sender(self) -> Any:
        return self.left

    def receiver(self) -> Any:
        return self.right

    def close(self) -> None:
        self.left.close()
        self.right.close()


class ZeroMQ(Channel):
    """pyzmq, PUSH to PULL over ipc://."""

    threaded = True

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.zmq = importlib.import_module("zmq")
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"ipc://{self.folder.name}/socket"
        self.opened: list[Any] = []

    @classmethod
    def version(cls) -> str:
        zmq = importlib.import_module("zmq")
        return f"{zmq.__version__} (libzmq {zmq.zmq_version()})"

    def _socket(self, kind: int, binds: bool) -> Any:
        # The end of which there is one has the address.
        context = self.zmq.Context()
        socket = context.socket(kind)
        socket.setsockopt(self.zmq.LINGER, 0)
        if self.case.timeout is not None:
            socket.setsockopt(self.zmq.SNDTIMEO, self.case.timeout * 1000)
            socket.setsockopt(self.zmq.RCVTIMEO, self.case.timeout * 1000)
        (socket.bind if binds else socket.connect)(self.address)
        self.opened.append((os.getpid(), socket, context))
        return socket

    def sender(self) -> Any:
        return self._socket(self.zmq.PUSH, self.case.work == "one to many")

    def receiver(self) -> Any:
        return self._socket(self.zmq.PULL, self.case.work != "one to many")

    def close(self) -> None:
        for process, end, context in self.opened:
            if process == os.getpid():
                end.close()
                context.term()
        self.folder.cleanup()


PEERS: dict[str, type[Channel]] = {
    PEER: PosixIpc,
    OURS: Ours,
    RAW: Raw,
    "ipcqueue": IpcQueue,
    "python-posixipc": PosixIpcModern,
    "multiprocessing.Pipe": Pipe,
    "SEQPACKET socket pair": SocketPair,
    "multiprocessing.Queue": MultiprocessingQueue,
    "pyzmq ipc": ZeroMQ,
}
