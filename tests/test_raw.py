"""The raw functions: C's names, argument order, meaning and errnos, and no way to crash."""

from __future__ import annotations

import array
import errno
import gc
import os
import signal
import threading
import time
import weakref

import pytest
from helpers import LIMIT, type_name, wait_until

from posix_ipc_swig import raw

ATTR = raw.mq_attr(mq_maxmsg=4, mq_msgsize=64)
PAST = raw.timespec()
BAD = -1  # a queue descriptor that never is one
FUNCTIONS = [
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
]


def soon(seconds=LIMIT):
    """A deadline on the wall clock, as the standard has it."""
    return raw.timespec(int(time.time() + seconds))


@pytest.fixture
def open_raw(name):
    """Open the queue `name`; descriptors that are left are closed at the end."""
    opened = []

    def open_raw(oflag=raw.O_RDWR | raw.O_CREAT, attr=ATTR):
        opened.append(raw.mq_open(name, oflag, 0o600, attr))
        return opened[-1]

    yield open_raw
    for mqd in opened:
        try:
            raw.mq_close(mqd)
        except OSError as error:
            assert error.errno == errno.EBADF


@pytest.fixture
def mqd(open_raw):
    """A descriptor of an empty queue for 4 messages of 64 bytes, for reading and writing."""
    return open_raw()


@pytest.fixture
def full(mqd):
    """The same of a full queue."""
    for number in range(4):
        raw.mq_send(mqd, str(number).encode(), 0)
    return mqd


def count(mqd):
    return raw.mq_getattr(mqd).mq_curmsgs


def test_all_ten_functions_are_there():
    for function in FUNCTIONS:
        assert callable(getattr(raw, function))
        assert function in raw.__all__
    assert [name for name in raw.__all__ if name.startswith("mq_") and name != "mq_attr"] == FUNCTIONS


def test_constants_are_the_systems():
    for constant in ("RDONLY", "WRONLY", "RDWR", "CREAT", "EXCL", "NONBLOCK", "CLOEXEC"):
        assert getattr(raw, f"O_{constant}") == getattr(os, f"O_{constant}")
    assert os.sysconf("SC_MQ_PRIO_MAX") in (raw.MQ_PRIO_MAX, -1)
    assert len({raw.SIGEV_NONE, raw.SIGEV_SIGNAL, raw.SIGEV_THREAD}) == 3


# --- what each function does ------------------------------------------------------------------


def test_mq_open_makes_a_queue_as_the_attributes_say(name, open_raw):
    mqd = open_raw(attr=raw.mq_attr(mq_maxmsg=3, mq_msgsize=17))
    assert type(mqd) is int
    assert raw.mq_getattr(mqd) == raw.mq_attr(mq_flags=0, mq_maxmsg=3, mq_msgsize=17, mq_curmsgs=0)


def test_mq_open_opens_an_existing_queue(name, mqd):
    for arguments in ((raw.O_RDWR,), (raw.O_RDWR, 0), (raw.O_RDWR, 0, None)):
        other = raw.mq_open(name, *arguments)
        assert raw.mq_getattr(other).mq_msgsize == 64
        assert raw.mq_close(other) is None


def test_mq_open_without_attributes_takes_the_kernels(name):
    mqd = raw.mq_open(name, raw.O_RDWR | raw.O_CREAT | raw.O_EXCL, 0o600)
    attr = raw.mq_getattr(mqd)
    raw.mq_close(mqd)
    assert attr.mq_maxmsg > 0
    assert attr.mq_msgsize > 0


def test_mq_open_takes_bytes_too(name, mqd):
    raw.mq_close(raw.mq_open(name.encode(), raw.O_RDONLY))
    raw.mq_unlink(name.encode())
    with pytest.raises(FileNotFoundError):
        raw.mq_open(name, raw.O_RDONLY)


def test_mq_open_sets_the_permission_bits(name):
    old = os.umask(0)
    try:
        mqd = raw.mq_open(name, raw.O_RDWR | raw.O_CREAT, 0o640, ATTR)
    finally:
        os.umask(old)
    mode = os.fstat(mqd).st_mode
    raw.mq_close(mqd)
    assert mode & 0o7777 == 0o640


def test_mq_close_closes(mqd):
    assert raw.mq_close(mqd) is None
    with pytest.raises(OSError, match="escriptor"):
        os.fstat(mqd)


def test_mq_unlink_removes_the_name(name, mqd):
    assert raw.mq_unlink(name) is None
    with pytest.raises(FileNotFoundError):
        raw.mq_open(name, raw.O_RDWR)
    raw.mq_send(mqd, b"still there", 0)


def test_messages_come_out_as_they_went_in_highest_priority_first(mqd):
    assert raw.mq_send(mqd, b"a", 1) is None
    assert raw.mq_timedsend(mqd, b"\0b\0", raw.MQ_PRIO_MAX - 1, PAST) is None
    raw.mq_send(mqd, b"", 0)
    assert raw.mq_receive(mqd, 64) == (b"\0b\0", raw.MQ_PRIO_MAX - 1)
    assert raw.mq_timedreceive(mqd, 64, PAST) == (b"a", 1)
    received = raw.mq_receive(mqd, 100)
    assert received == (b"", 0)
    assert [type(item) for item in received] == [bytes, int]


@pytest.mark.parametrize(
    "message",
    [
        b"hello",
        bytearray(b"hello"),
        memoryview(b"hello"),
        memoryview(b"say hello")[4:],
        array.array("B", b"hello"),
    ],
    ids=["bytes", "bytearray", "memoryview", "slice", "array"],
)
def test_any_contiguous_buffer_is_a_message(mqd, message):
    raw.mq_send(mqd, message, 0)
    raw.mq_timedsend(mqd, message, 0, PAST)
    for _ in range(2):
        assert raw.mq_receive(mqd, 64) == (b"hello", 0)


def test_a_message_is_used_where_it_lies(full, start_thread):
    """A buffer in use can neither grow nor shrink: so it is known that nobody made a copy."""
    message = bytearray(b"hello")
    for send in (
        lambda: raw.mq_send(full, message, 0),
        lambda: raw.mq_timedsend(full, message, 0, soon()),
    ):
        thread = start_thread(send)
        thread.wait_until_asleep()
        with pytest.raises(BufferError):
            message.append(0)
        raw.mq_receive(full, 64)
        thread.result()
        message.append(0)
        message.pop()


def test_the_empty_bytes_object_survives_a_receive_of_size_zero(mqd):
    raw.mq_send(mqd, b"hello", 0)
    with pytest.raises(OSError) as caught:
        raw.mq_receive(mqd, 0)
    assert caught.value.errno == errno.EMSGSIZE
    assert bytes(0) == b""
    assert raw.mq_receive(mqd, 64) == (b"hello", 0)


def test_a_deadline_is_on_the_wall_clock(mqd, full, start_thread):
    seconds = 0.2
    start = time.time()
    with pytest.raises(TimeoutError):
        raw.mq_timedsend(full, b"x", 0, raw.timespec(int(start), int(start % 1 * 1e9)))
    deadline = time.time() + seconds
    with pytest.raises(TimeoutError):
        raw.mq_timedsend(full, b"x", 0, raw.timespec(int(deadline), int(deadline % 1 * 1e9)))
    assert time.time() >= deadline - 0.001
    for _ in range(4):
        raw.mq_receive(full, 64)
    deadline = time.time() + seconds
    with pytest.raises(TimeoutError):
        raw.mq_timedreceive(mqd, 64, raw.timespec(int(deadline), int(deadline % 1 * 1e9)))
    assert time.time() >= deadline - 0.001


def test_a_wait_ends_when_it_may_go_on(mqd, start_thread):
    for receive in (lambda: raw.mq_receive(mqd, 64), lambda: raw.mq_timedreceive(mqd, 64, soon(3600))):
        thread = start_thread(receive)
        thread.wait_until_asleep()
        raw.mq_send(mqd, b"hello", 2)
        assert thread.result() == (b"hello", 2)


def test_mq_setattr_sets_o_nonblock_and_returns_what_was(mqd):
    raw.mq_send(mqd, b"hello", 0)
    before = raw.mq_attr(mq_flags=0, mq_maxmsg=4, mq_msgsize=64, mq_curmsgs=1)
    assert raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK)) == before
    now = raw.mq_getattr(mqd)
    assert now.mq_flags == raw.O_NONBLOCK
    assert (now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs) == (4, 64, 1)
    raw.mq_receive(mqd, 64)
    with pytest.raises(BlockingIOError):
        raw.mq_receive(mqd, 64)
    assert raw.mq_setattr(mqd, raw.mq_attr()).mq_flags == raw.O_NONBLOCK
    assert raw.mq_getattr(mqd).mq_flags == 0


def test_mq_setattr_leaves_the_capacity_alone(mqd):
    raw.mq_setattr(mqd, raw.mq_attr(mq_maxmsg=1, mq_msgsize=1, mq_curmsgs=99))
    assert raw.mq_getattr(mqd) == ATTR


# --- notification -----------------------------------------------------------------------------


def test_mq_notify_sends_a_signal(mqd, handle_signal):
    came = []
    handle_signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    event = raw.sigevent(sigev_notify=raw.SIGEV_SIGNAL, sigev_signo=signal.SIGUSR1)
    assert raw.mq_notify(mqd, event) is None
    raw.mq_send(mqd, b"hello", 0)
    wait_until(lambda: came)
    assert came == [signal.SIGUSR1]


def test_mq_notify_calls_a_function_in_a_thread(mqd):
    came = []

    def function(value):
        came.append((value, threading.get_ident()))

    for value in (0, 42, -1):
        event = raw.sigevent(sigev_notify=raw.SIGEV_THREAD, sigev_value=value, sigev_notify_function=function)
        raw.mq_notify(mqd, event)
        del event
        gc.collect()
        raw.mq_send(mqd, b"hello", 0)
        wait_until(lambda: came)
        assert came[0][0] == value
        assert came.pop()[1] != threading.get_ident()
        raw.mq_receive(mqd, 64)


def test_mq_notify_allows_one_request_and_none_cancels(mqd):
    nothing = raw.sigevent(sigev_notify=raw.SIGEV_NONE)
    for _ in range(2):
        raw.mq_notify(mqd, nothing)
        with pytest.raises(OSError, match="busy") as caught:
            raw.mq_notify(mqd, nothing)
        assert caught.value.errno == errno.EBUSY
        assert raw.mq_notify(mqd, None) is None


@pytest.mark.parametrize("end", ["called", "cancelled", "closed"])
def test_a_function_is_let_go_when_its_request_is_over(mqd, end):
    class Function:
        def __call__(self, value):
            pass

    function = Function()
    gone = weakref.ref(function)
    raw.mq_notify(mqd, raw.sigevent(sigev_notify=raw.SIGEV_THREAD, sigev_notify_function=function))
    del function
    gc.collect()
    assert gone() is not None
    if end == "called":
        raw.mq_send(mqd, b"hello", 0)
    elif end == "cancelled":
        raw.mq_notify(mqd, None)
    else:
        raw.mq_close(mqd)
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_a_refused_request_does_not_disturb_the_one_that_stands(mqd):
    came = []
    first = raw.sigevent(sigev_notify=raw.SIGEV_THREAD, sigev_notify_function=came.append, sigev_value=1)
    second = raw.sigevent(sigev_notify=raw.SIGEV_THREAD, sigev_notify_function=came.append, sigev_value=2)
    raw.mq_notify(mqd, first)
    with pytest.raises(OSError, match="busy"):
        raw.mq_notify(mqd, second)
    raw.mq_send(mqd, b"hello", 0)
    wait_until(lambda: came)
    assert came == [1]


# --- errnos -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda name, mqd: raw.mq_open(name + "x", raw.O_RDWR), errno.ENOENT),
        (lambda name, mqd: raw.mq_open(name, raw.O_RDWR | raw.O_CREAT | raw.O_EXCL, 0o600, ATTR), errno.EEXIST),
        (lambda name, mqd: raw.mq_open(name + "x", raw.O_RDWR | raw.O_CREAT, 0o600, raw.mq_attr()), errno.EINVAL),
        (
            lambda name, mqd: raw.mq_open(
                name + "x", raw.O_RDWR | raw.O_CREAT, 0o600, raw.mq_attr(mq_maxmsg=-1, mq_msgsize=8)
            ),
            errno.EINVAL,
        ),
        (lambda name, mqd: raw.mq_open("/" + "x" * 256, raw.O_RDWR), errno.ENAMETOOLONG),
        (lambda name, mqd: raw.mq_unlink(name + "x"), errno.ENOENT),
        (lambda name, mqd: raw.mq_unlink("/" + "x" * 256), errno.ENAMETOOLONG),
        (lambda name, mqd: raw.mq_send(mqd, b"x" * 65, 0), errno.EMSGSIZE),
        (lambda name, mqd: raw.mq_send(mqd, b"x", raw.MQ_PRIO_MAX), errno.EINVAL),
        (lambda name, mqd: raw.mq_timedsend(mqd, b"x" * 65, 0, PAST), errno.EMSGSIZE),
        (lambda name, mqd: raw.mq_timedsend(mqd, b"x", raw.MQ_PRIO_MAX, PAST), errno.EINVAL),
        (lambda name, mqd: raw.mq_receive(mqd, 63), errno.EMSGSIZE),
        (lambda name, mqd: raw.mq_timedreceive(mqd, 63, PAST), errno.EMSGSIZE),
        (lambda name, mqd: raw.mq_timedreceive(mqd, 64, PAST), errno.ETIMEDOUT),
        (lambda name, mqd: raw.mq_timedreceive(mqd, 64, raw.timespec(0, 10**9)), errno.EINVAL),
        (lambda name, mqd: raw.mq_timedreceive(mqd, 64, raw.timespec(-1, 0)), errno.EINVAL),
        (lambda name, mqd: raw.mq_notify(mqd, raw.sigevent(sigev_signo=1000)), errno.EINVAL),
        (lambda name, mqd: raw.mq_notify(mqd, raw.sigevent(sigev_notify=77)), errno.EINVAL),
        (lambda name, mqd: raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK | 1)), errno.EINVAL),
        (lambda name, mqd: raw.mq_close(BAD), errno.EBADF),
        (lambda name, mqd: raw.mq_send(BAD, b"x", 0), errno.EBADF),
        (lambda name, mqd: raw.mq_timedsend(BAD, b"x", 0, PAST), errno.EBADF),
        (lambda name, mqd: raw.mq_receive(BAD, 64), errno.EBADF),
        (lambda name, mqd: raw.mq_timedreceive(BAD, 64, PAST), errno.EBADF),
        (lambda name, mqd: raw.mq_notify(BAD, None), errno.EBADF),
        (lambda name, mqd: raw.mq_notify(BAD, raw.sigevent(sigev_notify=raw.SIGEV_NONE)), errno.EBADF),
        (lambda name, mqd: raw.mq_getattr(BAD), errno.EBADF),
        (lambda name, mqd: raw.mq_setattr(BAD, raw.mq_attr()), errno.EBADF),
    ],
)
def test_a_failure_is_an_os_error_with_its_errno(name, mqd, call, number):
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        call(name, mqd)
    assert caught.value.errno == number
    assert type(caught.value) is type(OSError(number, ""))
    assert count(mqd) == 0


def test_a_full_queue_is_timeout_error_or_blocking_io_error(full):
    with pytest.raises(TimeoutError):
        raw.mq_timedsend(full, b"x", 0, PAST)
    raw.mq_setattr(full, raw.mq_attr(mq_flags=raw.O_NONBLOCK))
    with pytest.raises(BlockingIOError):
        raw.mq_send(full, b"x", 0)
    assert count(full) == 4


def test_the_access_mode_is_kept(mqd, open_raw):
    reader, writer = open_raw(raw.O_RDONLY), open_raw(raw.O_WRONLY)
    for call in (lambda: raw.mq_send(reader, b"x", 0), lambda: raw.mq_receive(writer, 64)):
        with pytest.raises(OSError, match="escriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF
    raw.mq_send(writer, b"hello", 0)
    assert raw.mq_receive(reader, 64) == (b"hello", 0)


def test_a_file_that_is_no_queue_is_ebadf():
    with open(os.devnull, "rb") as file:
        for call in (
            lambda: raw.mq_getattr(file.fileno()),
            lambda: raw.mq_send(file.fileno(), b"x", 0),
            lambda: raw.mq_receive(file.fileno(), 64),
        ):
            with pytest.raises(OSError, match="escriptor") as caught:
                call()
            assert caught.value.errno == errno.EBADF


# --- wrong arguments --------------------------------------------------------------------------

# For each function, arguments that are right (a queue descriptor that is none, so that nothing happens).
RIGHT = {
    "mq_open": ("/never-opened", raw.O_RDONLY, 0o600, ATTR),
    "mq_close": (BAD,),
    "mq_unlink": ("/never-opened",),
    "mq_send": (BAD, b"x", 0),
    "mq_timedsend": (BAD, b"x", 0, PAST),
    "mq_receive": (BAD, 64),
    "mq_timedreceive": (BAD, 64, PAST),
    "mq_notify": (BAD, raw.sigevent()),
    "mq_getattr": (BAD,),
    "mq_setattr": (BAD, raw.mq_attr()),
}
ANYTHING = [None, "text", b"bytes", 1.5, [1], {}, object(), int, 1j, raw.mq_attr(), raw.timespec(), raw.sigevent()]
# Beyond the type of the argument that is right.
ALSO_RIGHT = {
    ("mq_open", 0): bytes,
    ("mq_open", 3): type(None),
    ("mq_unlink", 0): bytes,
    ("mq_notify", 1): type(None),
}
WRONG = [
    pytest.param(function, position, wrong, id=f"{function}-{position}-{type_name(wrong)}")
    for function, arguments in RIGHT.items()
    for position, right in enumerate(arguments)
    for wrong in ANYTHING
    if not isinstance(wrong, (type(right), ALSO_RIGHT.get((function, position), type(right))))
]


@pytest.mark.parametrize(("function", "position", "wrong"), WRONG)
def test_an_argument_of_a_wrong_type_is_a_type_error(function, position, wrong):
    arguments = list(RIGHT[function])
    arguments[position] = wrong
    with pytest.raises(TypeError):
        getattr(raw, function)(*arguments)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_number_of_arguments_must_be_right(function):
    with pytest.raises(TypeError):
        getattr(raw, function)()
    with pytest.raises(TypeError):
        getattr(raw, function)(*RIGHT[function], 1)
    with pytest.raises(TypeError):
        getattr(raw, function)(*RIGHT[function], nonsense=1)


@pytest.mark.parametrize(
    ("function", "position", "limit"),
    [
        *((function, 0, "int") for function in FUNCTIONS if function not in ("mq_open", "mq_unlink")),
        ("mq_open", 1, "int"),
        ("mq_open", 2, "unsigned"),
        ("mq_send", 2, "unsigned"),
        ("mq_timedsend", 2, "unsigned"),
    ],
)
def test_an_integer_beyond_cs_range_is_an_overflow_error(function, position, limit):
    beyond = [2**32, 2**63, 2**64, 10**30, -(2**31) - 1, -(10**30)]
    for number in beyond + ([2**31] if limit == "int" else [-1]):
        arguments = list(RIGHT[function])
        arguments[position] = number
        with pytest.raises(OverflowError):
            getattr(raw, function)(*arguments)


@pytest.mark.parametrize("size", [-1, -(2**63), 2**63, 2**64, 10**30])
def test_a_size_that_cannot_be_is_refused(mqd, size):
    raw.mq_send(mqd, b"hello", 0)
    for call in (lambda: raw.mq_receive(mqd, size), lambda: raw.mq_timedreceive(mqd, size, PAST)):
        with pytest.raises((OverflowError, ValueError)):
            call()
    assert count(mqd) == 1


def test_a_size_beyond_memory_is_a_memory_error(mqd):
    raw.mq_send(mqd, b"hello", 0)
    with pytest.raises(MemoryError):
        raw.mq_receive(mqd, 2**62)
    assert count(mqd) == 1


def test_a_message_that_is_not_contiguous_is_a_buffer_error(mqd):
    view = memoryview(b"abcdef")[::2]
    for call in (lambda: raw.mq_send(mqd, view, 0), lambda: raw.mq_timedsend(mqd, view, 0, PAST)):
        with pytest.raises(BufferError):
            call()
    assert count(mqd) == 0


def test_a_nul_in_a_name_is_a_value_error(name, mqd):
    for bad in (name + "\0", name + "\0x", (name + "\0").encode()):
        with pytest.raises(ValueError, match=r"(?i)nul"):
            raw.mq_open(bad, raw.O_RDWR)
        with pytest.raises(ValueError, match=r"(?i)nul"):
            raw.mq_unlink(bad)
    raw.mq_unlink(name)


def test_sigev_thread_needs_a_function(mqd):
    with pytest.raises(OSError) as caught:
        raw.mq_notify(mqd, raw.sigevent(sigev_notify=raw.SIGEV_THREAD))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("wrong", [5, "text", b"x", [], object()], ids=type_name)
def test_what_cannot_be_called_is_no_notify_function(wrong):
    with pytest.raises(TypeError):
        raw.sigevent(sigev_notify_function=wrong)
    event = raw.sigevent()
    with pytest.raises(TypeError):
        event.sigev_notify_function = wrong
    assert event.sigev_notify_function is None


# --- structs ----------------------------------------------------------------------------------

STRUCTS = {
    raw.mq_attr: ["mq_flags", "mq_maxmsg", "mq_msgsize", "mq_curmsgs"],
    raw.timespec: ["tv_sec", "tv_nsec"],
    raw.sigevent: ["sigev_notify", "sigev_signo", "sigev_value"],
}
structs = pytest.mark.parametrize(("struct", "fields"), STRUCTS.items(), ids=["mq_attr", "timespec", "sigevent"])


@structs
def test_a_struct_starts_with_zeros(struct, fields):
    empty = struct()
    expected = {"sigev_notify": raw.SIGEV_SIGNAL}
    assert [getattr(empty, field) for field in fields] == [expected.get(field, 0) for field in fields]


@structs
def test_fields_go_by_position_or_by_name_and_can_be_set(struct, fields):
    numbers = list(range(3, 3 + len(fields)))
    by_name = struct(**dict(zip(fields, numbers)))
    assert [getattr(by_name, field) for field in fields] == numbers
    assert struct(*numbers) == by_name
    one_by_one = struct()
    for field, number in zip(fields, numbers):
        assert one_by_one != by_name
        setattr(one_by_one, field, number)
    assert one_by_one == by_name


@structs
def test_a_struct_is_equal_to_one_of_its_kind_with_the_same_fields(struct, fields):
    assert struct() == struct()
    for field in fields:
        assert struct(**{field: 9}) != struct()
        assert struct(**{field: 9}) == struct(**{field: 9})
    for other in (0, None, (0, 0), object(), *(kind() for kind in STRUCTS if kind is not struct)):
        assert struct() != other


@structs
def test_the_text_of_a_struct_shows_its_fields(struct, fields):
    text = repr(struct(**{field: 70 + number for number, field in enumerate(fields)}))
    assert struct.__name__ in text
    for number, field in enumerate(fields):
        assert f"{field}={70 + number}" in text


@structs
def test_a_field_holds_integers_of_cs_range(struct, fields):
    for field in fields:
        value = struct(**{field: 5})
        for wrong in (None, "1", b"1", 1.5, [], object()):
            with pytest.raises(TypeError):
                struct(**{field: wrong})
            with pytest.raises(TypeError):
                setattr(value, field, wrong)
        for beyond in (2**63, -(2**63) - 1, 10**30):
            with pytest.raises(OverflowError):
                struct(**{field: beyond})
            with pytest.raises(OverflowError):
                setattr(value, field, beyond)
        with pytest.raises((TypeError, AttributeError)):
            delattr(value, field)
        assert getattr(value, field) == 5


@structs
def test_a_struct_has_no_other_fields(struct, fields):
    with pytest.raises(TypeError):
        struct(nonsense=1)
    with pytest.raises(AttributeError):
        struct().nonsense = 1


def test_a_sigevent_holds_its_function():
    class Function:
        def __call__(self, value):
            pass

    function = Function()
    gone = weakref.ref(function)
    event = raw.sigevent(sigev_notify_function=function)
    assert event.sigev_notify_function is function
    assert raw.sigevent().sigev_notify_function is None
    assert event != raw.sigevent()
    assert event == raw.sigevent(sigev_notify_function=function)
    del function
    gc.collect()
    assert gone() is not None
    event.sigev_notify_function = None
    gc.collect()
    assert event.sigev_notify_function is None
    assert gone() is None
    with pytest.raises((TypeError, AttributeError)):
        del event.sigev_notify_function


def test_a_struct_that_a_call_returns_is_a_copy(mqd):
    attr = raw.mq_getattr(mqd)
    attr.mq_maxmsg = 1
    assert raw.mq_getattr(mqd).mq_maxmsg == 4


# --- the interpreter lock ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "mq_receive(mqd, 8)",
        "mq_timedreceive(mqd, 8, far)",
        "mq_send(mqd, b'x', 0)",
        "mq_timedsend(mqd, b'x', 0, far)",
    ],
)
def test_the_interpreter_lock_is_free_while_a_call_waits(run_python, name, call):
    """In a process of its own: were the lock held, nothing in it could go on."""
    run_python(
        f"""
        import sys, threading, time
        from posix_ipc_swig.raw import *

        far = timespec(int(time.time()) + 100_000)
        mqd = mq_open(sys.argv[1], O_RDWR | O_CREAT, 0o600, mq_attr(mq_maxmsg=1, mq_msgsize=8))
        sending = "send" in {call!r}
        if sending:
            mq_send(mqd, b"full", 0)
        thread = threading.Thread(target=lambda: {call})
        thread.start()
        state = ""
        while state != "S":
            with open(f"/proc/self/task/{{thread.native_id}}/stat") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        sum(range(1_000_000))
        assert thread.is_alive()
        mq_receive(mqd, 8) if sending else mq_send(mqd, b"go", 0)
        thread.join()
        """,
        name,
    )
