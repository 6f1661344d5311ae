"""Names: which ones a queue can have, and what happens with the others."""

from __future__ import annotations

import os
import string

import pytest
from helpers import type_name

from posix_ipc_swig import (
    O_CREAT,
    O_CREX,
    O_EXCL,
    ExistentialError,
    MessageQueue,
    unlink_message_queue,
)

NOT_NAMES = {
    "empty": "",
    "no leading slash": "queue",
    "slash alone": "/",
    "dot": "/.",
    "dot dot": "/..",
    "second slash": "/a/b",
    "second slash at once": "//a",
    "slash at the end": "/a/",
    "NUL": "/a\0b",
    "NUL at the end": "/a\0",
    "256 bytes": "/" + "x" * 256,
    "256 bytes in 128 characters": "/" + "é" * 128,
    "what no file name can hold": "/\ud800",
}
not_names = pytest.mark.parametrize("bad", NOT_NAMES.values(), ids=NOT_NAMES)
not_texts = pytest.mark.parametrize("bad", [1, 1.5, ["/a"], object(), bytearray(b"/a")], ids=type_name)


@pytest.mark.parametrize("flags", [0, O_CREAT, O_CREX], ids=["open", "O_CREAT", "O_CREX"])
@not_names
def test_what_is_no_name_is_a_value_error(bad, flags):
    with pytest.raises(ValueError):
        MessageQueue(bad, flags, max_messages=1, max_message_size=1)


@not_names
def test_what_is_no_name_as_bytes_is_a_value_error_too(bad):
    with pytest.raises(ValueError):
        MessageQueue(bad.encode(errors="replace").replace(b"?", b"/"), O_CREX)


@not_names
def test_what_is_no_name_cannot_be_unlinked(bad):
    with pytest.raises(ValueError):
        unlink_message_queue(bad)


@not_texts
def test_a_name_of_a_wrong_type_is_a_type_error(bad):
    with pytest.raises(TypeError):
        MessageQueue(bad, O_CREX)
    with pytest.raises(TypeError):
        unlink_message_queue(bad)


def test_unlinking_needs_a_name():
    with pytest.raises(TypeError):
        unlink_message_queue(None)


@pytest.mark.parametrize(
    "rest",
    [
        "." * 3,
        ".hidden",
        "with space",
        "line\nbreak",
        "näme ☃",
        "x" * 230,
        "%s%n",
        string.punctuation.replace("/", ""),
    ],
)
def test_any_other_character_may_be_in_a_name(make_queue, name, rest):
    queue = make_queue(f"/{rest}{name[1:]}"[:255])
    make_queue(queue.name, flags=0).send("hello")
    assert queue.receive(0) == (b"hello", 0)


@pytest.mark.parametrize("letter", ["x", "é", "☃"])
def test_a_name_may_have_255_bytes_after_its_slash(make_queue, name, letter):
    room = 255 - len(name[1:])
    longest = name + letter * (room // len(letter.encode()))
    longest += "x" * (256 - len(longest.encode()))
    assert make_queue(longest).name == longest


def test_names_differ_in_case(make_queue, name):
    lower, upper = make_queue(name + "a"), make_queue(name + "A")
    lower.send("for the lower one")
    assert upper.current_messages == 0


def test_bytes_are_a_name_too(make_queue, name):
    queue = make_queue(name.encode())
    assert queue.name == name
    make_queue(name, flags=0).send("hello")
    assert queue.receive(0) == (b"hello", 0)
    unlink_message_queue(name.encode())
    with pytest.raises(ExistentialError):
        MessageQueue(name)


def test_bytes_that_are_no_text_are_a_name_too(make_queue, name):
    raw_name = name.encode() + b"\xff\xfe"
    queue = make_queue(raw_name)
    assert os.fsencode(queue.name) == raw_name
    make_queue(queue.name, flags=0).send("hello")
    assert queue.receive(0) == (b"hello", 0)
    repr(queue)
    str(queue)


def test_none_chooses_an_unused_name():
    first = MessageQueue(None, O_CREX, max_messages=1, max_message_size=8)
    second = MessageQueue(None, O_CREX, max_messages=1, max_message_size=8)
    with first, second:
        try:
            assert first.name != second.name
            assert first.name.startswith("/")
            with MessageQueue(first.name) as other:
                other.send("hello")
            assert first.receive(0) == (b"hello", 0)
            assert second.current_messages == 0
        finally:
            first.unlink()
            second.unlink()


@pytest.mark.parametrize("flags", [0, O_CREAT, O_EXCL], ids=["open", "O_CREAT", "O_EXCL"])
def test_none_needs_o_crex(flags):
    with pytest.raises(ValueError):
        MessageQueue(None, flags)


def test_a_chosen_name_that_is_taken_is_chosen_again(monkeypatch):
    numbers = [os.urandom(8) for _ in range(2)]
    chosen = iter([numbers[0], *numbers])
    monkeypatch.setattr(os, "urandom", lambda size: next(chosen))
    with MessageQueue(None, O_CREX, max_messages=1, max_message_size=8) as first:
        first_name = first.name
        try:
            with MessageQueue(None, O_CREX, max_messages=1, max_message_size=8) as second:
                second.unlink()
                assert first_name.endswith(numbers[0].hex())
                assert second.name.endswith(numbers[1].hex())
        finally:
            first.unlink()
