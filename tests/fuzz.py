"""The fuzzer: every public call with arguments of every kind, guided by coverage (atheris).

    tox run -e fuzz -- --calls 10000000

A call may succeed, or raise what its documentation names; a crash, a hang or any other type of error is a finding, and
ends the run with the input that led to it. Nothing here may wait: a handle that has no room raises at once.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import pickle
import signal
import sys
import threading
import time
import warnings

import atheris

with atheris.instrument_imports(include=["posix_ipc_swig"]):
    import posix_ipc_swig as ipc
    from posix_ipc_swig import listening, notify, raw

# MemoryError: raw.mq_receive() makes room for as many bytes as it is told.
DOCUMENTED = (OSError, ValueError, TypeError, BufferError, OverflowError, AttributeError, MemoryError)
MINE = f"/fuzz-{os.getpid()}"


class Index:
    """An int by its __index__, or the error that it raises."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> object:
        return self.value

    def __float__(self) -> object:
        return self.value


class Input:
    """What the fuzzer gives, as arguments."""

    def __init__(self, data: bytes) -> None:
        self.data = atheris.FuzzedDataProvider(data)

    def value(self, depth: int = 0) -> object:
        data = self.data
        kind = data.ConsumeIntInRange(0, 20)
        if kind == 0:
            return None
        if kind == 1:
            return data.ConsumeIntInRange(-3, 70)
        if kind == 2:
            return data.ConsumeInt(8)
        if kind == 3:
            return data.ConsumeInt(8) << data.ConsumeIntInRange(0, 2000)
        if kind == 4:
            return data.ConsumeFloat()
        if kind == 5:
            return data.ConsumeBool()
        if kind == 6:
            return data.ConsumeBytes(data.ConsumeIntInRange(0, 80))
        if kind == 7:
            return bytearray(data.ConsumeIntInRange(0, 80))
        if kind == 8:
            return memoryview(bytearray(data.ConsumeIntInRange(1, 80)))[:: data.ConsumeIntInRange(1, 2)]
        if kind == 9:
            return data.ConsumeUnicode(data.ConsumeIntInRange(0, 80))
        if kind == 10:
            return memoryview(b"x" * data.ConsumeIntInRange(0, 70))
        if kind == 11:
            return Index(data.ConsumeIntInRange(-3, 70))
        if kind == 12:
            return Index("no number")
        if kind == 13 and depth < 2:
            return [self.value(depth + 1) for _ in range(data.ConsumeIntInRange(0, 5))]
        if kind == 14 and depth < 2:
            return tuple(self.value(depth + 1) for _ in range(data.ConsumeIntInRange(0, 3)))
        if kind == 15:
            return (len, self.value(depth + 1) if depth < 2 else None)
        if kind == 16:
            return float("nan")
        if kind == 17:
            return object()
        if kind == 18:
            return float("inf")
        if kind == 19:
            return iter([b"x", self.value(depth + 1)] if depth < 2 else [])
        return raw.mq_attr(mq_maxmsg=data.ConsumeIntInRange(-1, 3), mq_msgsize=data.ConsumeIntInRange(-1, 3))

    def arguments(self, most: int, names: tuple[str, ...]) -> tuple[list[object], dict[str, object]]:
        values = [self.value() for _ in range(self.data.ConsumeIntInRange(0, most))]
        keywords = {
            (name if self.data.ConsumeBool() else self.data.ConsumeUnicode(4)): self.value()
            for name in names
            if self.data.ConsumeIntInRange(0, 3) == 0
        }
        return values, keywords


class Target:
    """The queue that is fuzzed, made again when a call took it away."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.calls = 0
        self.renew()

    def renew(self) -> None:
        self.name = f"{MINE}-{next(self.numbers)}"
        self.queue = ipc.MessageQueue(self.name, ipc.O_CREX | ipc.O_NONBLOCK, max_messages=4, max_message_size=64)
        self.closed = ipc.MessageQueue(self.name)
        self.closed.close()
        self.blank = ipc.MessageQueue.__new__(ipc.MessageQueue)

    def end(self) -> None:
        if not self.queue.closed:
            self.queue.close()
        with contextlib.suppress(ipc.ExistentialError):
            ipc.unlink_message_queue(self.name)

    def call(self, data: bytes) -> None:
        given = Input(data)
        if self.queue.closed:
            self.end()
            self.renew()
        queue = (self.queue, self.queue, self.queue, self.closed, self.blank)[given.data.ConsumeIntInRange(0, 4)]
        for _ in range(4):
            self.calls += 1
            kind = given.data.ConsumeIntInRange(0, len(CALLS) - 1)
            with contextlib.suppress(DOCUMENTED):
                CALLS[kind](queue, given, self)
            for handle in (self.queue, self.blank):
                if not handle.closed:
                    handle.block = False  # a call may have changed it, and the next must not wait
            if self.queue.closed:
                break
        if not self.blank.closed:
            self.blank.close()
            self.blank = ipc.MessageQueue.__new__(ipc.MessageQueue)


def method(name: str, most: int, *names: str):
    def call(queue, given, target):
        values, keywords = given.arguments(most, names)
        getattr(queue, name)(*values, **keywords)

    return call


def read(queue, given, target):
    name = given.data.PickValueInList(
        ["name", "mode", "mqd", "closed", "block", "max_messages", "max_message_size", "current_messages"]
    )
    getattr(queue, name)
    if given.data.ConsumeBool():
        setattr(queue, name, given.value())


def text(queue, given, target):
    str(queue)
    repr(queue)


def construct(queue, given, target):
    values, keywords = given.arguments(
        6, ("name", "flags", "mode", "max_messages", "max_message_size", "read", "write")
    )
    if values and given.data.ConsumeBool():
        values[0] = given.data.PickValueInList([target.name, target.name + "-x", target.name.encode()])
    handle = ipc.MessageQueue(*values, **keywords)
    try:
        if handle.name != target.name:
            handle.unlink()
    finally:
        handle.close()


def remove(queue, given, target):
    value = given.value()
    if value != target.name:
        ipc.unlink_message_queue(value)


def ask(queue, given, target):
    value = given.value()
    if isinstance(value, Index) or type(value) is int:
        value = signal.SIGCHLD if value in signal.valid_signals() else value  # one that harms nobody
    if value is True:
        value = None
    queue.request_notification(value)


def listen(queue, given, target):
    handler = given.data.PickValueInList([lambda message, priority: None, None, 5])
    with queue.listen(handler) as listener:
        listener.stop(given.data.PickValueInList([None, 0, 1.5]))


def reopen(queue, given, target):
    pickle.loads(pickle.dumps(queue)).close()


def again(queue, given, target):
    values, keywords = given.arguments(3, ("flags",))
    queue.__init__(target.name, *values, **keywords)


def close(queue, given, target):
    if given.data.ConsumeIntInRange(0, 20) == 0:
        queue.close()


def raw_open(queue, given, target):
    values, keywords = given.arguments(4, ("name", "oflag", "mode", "attr"))
    if values and given.data.ConsumeBool():
        values[0] = target.name
    mqd = raw.mq_open(*values, **keywords)
    raw.mq_close(mqd)
    if values[:1] != [target.name]:
        with contextlib.suppress(OSError):
            raw.mq_unlink(values[0] if values else keywords["name"])


def raw_call(name: str, most: int):
    def call(queue, given, target):
        values, _ = given.arguments(most, ())
        mqd = target.queue.mqd
        if given.data.ConsumeBool():
            getattr(raw, name)(mqd, *values)
        else:  # a descriptor of every kind, but no open one of this process
            other = given.value()
            if type(other) in (int, bool, Index) and not (isinstance(other, int) and other > 10**4):
                other = -1
            getattr(raw, name)(other, *values)

    return call


def raw_timed(name: str):
    def call(queue, given, target):
        times = raw.timespec(given.value(), given.value())
        times.tv_sec = min(times.tv_sec, 10**6)  # long past: nothing may wait
        if name == "mq_timedsend":
            raw.mq_timedsend(target.queue.mqd, given.value(), given.value(), times)
        else:
            raw.mq_timedreceive(target.queue.mqd, given.value(), times)

    return call


def raw_struct(queue, given, target):
    kind = given.data.PickValueInList([raw.mq_attr, raw.timespec, raw.sigevent])
    values, keywords = given.arguments(4, ("mq_flags", "tv_sec", "sigev_notify", "sigev_notify_function"))
    struct = kind(*values, **keywords)
    repr(struct)
    assert struct == struct
    struct == given.value()  # noqa: B015 # it must not crash, whatever it says
    fields = [name for name in dir(struct) if name.startswith(("mq_", "tv_", "sigev_"))]
    setattr(struct, given.data.PickValueInList(fields), given.value())
    if kind is raw.sigevent and struct.sigev_notify != raw.SIGEV_SIGNAL:
        raw.mq_notify(target.queue.mqd, struct)
    elif kind is raw.mq_attr:
        raw.mq_setattr(target.queue.mqd, struct)


CALLS = [
    method("send", 3, "message", "timeout", "priority"),
    method("receive", 1, "timeout"),
    method("send_many", 3, "messages", "timeout", "priority"),
    method("receive_many", 2, "limit", "timeout"),
    method("receive_into", 2, "buffer", "timeout"),
    method("fileno", 1),
    read,
    text,
    construct,
    remove,
    ask,
    listen,
    reopen,
    again,
    close,
    raw_open,
    raw_call("mq_send", 2),
    raw_call("mq_receive", 1),
    raw_call("mq_getattr", 1),
    raw_call("mq_setattr", 1),
    raw_call("mq_notify", 1),
    raw_timed("mq_timedsend"),
    raw_timed("mq_timedreceive"),
    raw_struct,
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Every public call with arguments of every kind.")
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="0: libFuzzer chooses, and prints it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    assert not notify._listeners
    assert not listening._running
    threading.excepthook = lambda args: None  # a callback's own errors
    target, begun, said = Target(), time.monotonic(), 0

    def one(data: bytes) -> None:
        nonlocal said
        target.call(data)
        if target.calls - said >= 100_000:
            said = target.calls
            print(f"{target.calls} calls in {time.monotonic() - begun:.0f} s", flush=True)
        if target.calls >= options.calls:
            target.end()
            print(
                f"{target.calls} calls in {time.monotonic() - begun:.0f} s: no crash, no hang, no other error",
                flush=True,
            )
            os._exit(0)

    arguments = [sys.argv[0], "-timeout=20", "-max_len=400", f"-seed={options.seed}", "-verbosity=0"]
    atheris.Setup(arguments, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
