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
import traceback
import warnings

import atheris

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

with atheris.instrument_imports(include=["posix_ipc_swig"]):
    import posix_ipc_swig as ipc
    from posix_ipc_swig import listening, notify, raw

# What each kind of call may raise, as its documentation names it; TypeError is any call's answer to wrong arguments.
CLOSED = (ipc.ExistentialError, TypeError)
SEND = (ipc.BusyError, ipc.PermissionsError, ipc.ExistentialError, ValueError, TypeError, BufferError)
RECEIVE = (ipc.BusyError, ipc.PermissionsError, ipc.ExistentialError, ValueError, TypeError)
OPEN = (ipc.ExistentialError, ipc.PermissionsError, ipc.LimitError, ValueError, TypeError)
UNLINK = (ipc.ExistentialError, ipc.PermissionsError, ValueError, TypeError)
NOTIFY = (ipc.BusyError, ipc.ExistentialError, ValueError)
RAW = (OSError, TypeError, ValueError, OverflowError, BufferError)
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
        kind = data.ConsumeIntInRange(0, 21)
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
        if kind == 20:
            return len
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

    last = b""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.calls = 0
        self.renew()

    def renew(self) -> None:
        self.name, self.unlinked = f"{MINE}-{next(self.numbers)}", False
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
        Target.last = data
        given = Input(data)
        if self.queue.closed or self.unlinked:
            self.end()
            self.renew()
        queue = (self.queue, self.queue, self.queue, self.closed, self.blank)[given.data.ConsumeIntInRange(0, 4)]
        for _ in range(4):
            self.calls += 1
            kind = given.data.ConsumeIntInRange(0, len(CALLS) - 1)
            call, documented = CALLS[kind]
            with contextlib.suppress(documented):
                call(queue, given, self)
            for handle in (self.queue, self.blank):
                if not handle.closed:
                    handle.block = False  # a call may have changed it, and the next must not wait
            if self.queue.closed or self.unlinked:
                break
        if not self.blank.closed:
            self.blank.close()
            self.blank = ipc.MessageQueue.__new__(ipc.MessageQueue)


def method(name: str, most: int, *names: str):
    def call(queue, given, target):
        values, keywords = given.arguments(most, names)
        getattr(queue, name)(*values, **keywords)

    call.__name__ = name
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
        with contextlib.suppress(TypeError, ValueError):
            listener.stop(given.value())
        text(listener, given, target)


def reopen(queue, given, target):
    pickle.loads(pickle.dumps(queue)).close()


def again(queue, given, target):
    values, keywords = given.arguments(3, ("flags",))
    queue.__init__(target.name, *values, **keywords)


def close(queue, given, target):
    if given.data.ConsumeIntInRange(0, 20) == 0:
        queue.close()


def unlink(queue, given, target):
    if given.data.ConsumeIntInRange(0, 20) == 0:
        queue.unlink()
        target.unlinked = True


def iterate(queue, given, target):
    next(iter(queue))


def enter(queue, given, target):
    if queue is not target.queue or given.data.ConsumeIntInRange(0, 20) == 0:
        with queue as same:
            assert same is queue


def limits(queue, given, target):
    if given.data.ConsumeIntInRange(0, 3) == 0:  # it asks /proc for much
        values, _ = given.arguments(1, ())
        repr(ipc.limits(*values))


def fits(queue, given, target):
    values, keywords = given.arguments(2, ("max_messages", "max_message_size"))
    fit = ipc.fits(*values, **keywords)
    assert bool(fit) == (not fit.reason) == (fit.errno == 0)


def queue_bytes(queue, given, target):
    values = [given.value(), given.value()]
    if not any(hasattr(value, "__len__") for value in values):  # a sequence would be multiplied
        ipc.queue_bytes(*values)


def no_descriptor(given: Input) -> object:
    """Anything, but no open descriptor of this process."""
    value = given.value()
    return -1 if isinstance(value, (int, Index)) and not (isinstance(value, int) and value > 10**4) else value


def raw_open(queue, given, target):
    values, keywords = given.arguments(4, ("name", "oflag", "mode", "attr"))
    if values and given.data.ConsumeBool():
        values[0] = target.name
    mqd = raw.mq_open(*values, **keywords)
    raw.mq_close(mqd)
    if values[:1] != [target.name]:
        with contextlib.suppress(OSError):
            raw.mq_unlink(values[0] if values else keywords["name"])


def raw_close(queue, given, target):
    """One that was just opened; or what is none."""
    if given.data.ConsumeBool():
        raw.mq_close(raw.mq_open(target.name, raw.O_RDWR))
    else:
        raw.mq_close(no_descriptor(given))


def raw_unlink(queue, given, target):
    value = given.value()
    if value not in (target.name, target.name.encode()):
        raw.mq_unlink(value)


def raw_call(name: str, most: int):
    def call(queue, given, target):
        values, _ = given.arguments(most, ())
        mqd = target.queue.mqd
        if given.data.ConsumeBool():
            getattr(raw, name)(mqd, *values)
        else:  # a descriptor of every kind, but no open one of this process
            getattr(raw, name)(no_descriptor(given), *values)

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
    (method("send", 3, "message", "timeout", "priority"), SEND),
    (method("receive", 1, "timeout"), RECEIVE),
    (method("send_many", 3, "messages", "timeout", "priority"), SEND),
    (method("receive_many", 2, "limit", "timeout"), RECEIVE),
    (method("receive_into", 2, "buffer", "timeout"), (*RECEIVE, BufferError)),
    (method("fileno", 1), CLOSED),
    (read, (*CLOSED, AttributeError)),
    (text, ()),
    (construct, OPEN),
    (remove, UNLINK),
    (ask, NOTIFY),
    (listen, (*CLOSED, ipc.PermissionsError, RuntimeError)),
    (reopen, OPEN),
    (again, OPEN),
    (close, CLOSED),
    (unlink, UNLINK),
    (iterate, RECEIVE),
    (enter, CLOSED),
    (limits, TypeError),
    (fits, (ValueError, TypeError)),
    (queue_bytes, (TypeError, OverflowError)),
    (raw_open, RAW),
    (raw_close, RAW),
    (raw_unlink, RAW),
    (raw_call("mq_send", 2), RAW),
    # It makes room for as many bytes as it is told.
    (raw_call("mq_receive", 1), (*RAW, MemoryError)),
    (raw_call("mq_getattr", 1), RAW),
    (raw_call("mq_setattr", 1), RAW),
    (raw_call("mq_notify", 1), RAW),
    (raw_timed("mq_timedsend"), RAW),
    (raw_timed("mq_timedreceive"), (*RAW, MemoryError)),
    (raw_struct, (*RAW, AttributeError)),
]


def by_callback(args: threading.ExceptHookArgs) -> bool:
    """Whether an error is one of the fuzzed callbacks' own: they are all len(), and have no frame of theirs."""
    trace = args.exc_traceback
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    last = trace and trace.tb_frame.f_code
    return (
        args.exc_type is TypeError
        and (last is None or last.co_qualname == "_Request.run")
        and "len()" in str(args.exc_value)
    )


def find(args: threading.ExceptHookArgs) -> None:
    """End the run at an error of one of the library's own threads."""
    if not by_callback(args):
        print(f"in {args.thread}, while or after {Target.last!r} was tried:", file=sys.stderr)
        traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
        sys.stderr.flush()
        os._exit(78)


def find_unraisable(args: sys.UnraisableHookArgs) -> None:
    print(f"{args.err_msg}: {args.object!r}, while or after {Target.last!r} was tried:", file=sys.stderr)
    traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
    sys.stderr.flush()
    os._exit(79)


def main() -> None:
    parser = argparse.ArgumentParser(description="Every public call with arguments of every kind.")
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="0: libFuzzer chooses, and prints it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    assert not notify._listeners
    assert not listening._running
    threading.excepthook, sys.unraisablehook = find, find_unraisable
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
