"""The model: a few lines of Python say what a priority queue with capacity does; a real queue must do the same."""

from __future__ import annotations

import os
import secrets

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from posix_ipc_swig import (
    O_CREX,
    QUEUE_PRIORITY_MAX,
    BusyError,
    ExistentialError,
    MessageQueue,
    PermissionsError,
)

RIGHTS = {"reader": {"write": False}, "writer": {"read": False}, "both": {}}

sides = st.sampled_from([0, 1])
rights = st.sampled_from(sorted(RIGHTS))
messages = st.binary(max_size=16)
priorities = st.one_of(st.integers(0, 2), st.sampled_from([255, 256, QUEUE_PRIORITY_MAX]))


class Model:
    """What a queue is: the highest priority first, the oldest first within one."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.held = []

    def send(self, message, priority):
        if len(self.held) == self.capacity:
            raise BusyError
        self.held.append((message, priority))
        self.held.sort(key=lambda item: -item[1])  # stable: the oldest stays first

    def receive(self):
        if not self.held:
            raise BusyError
        return self.held.pop(0)


class QueueAgainstModel(RuleBasedStateMachine):
    """Two handles of one queue, each with rights and a blocking mode of its own."""

    def __init__(self):
        super().__init__()
        self.name = f"/test-{os.getpid()}-{secrets.token_hex(8)}"
        self.handles = []

    @initialize(capacity=st.integers(1, 5), size=st.integers(1, 16), first=rights, second=rights)
    def make(self, capacity, size, first, second):
        # The keeper makes the queue and keeps it alive; it takes no part.
        self.keeper = MessageQueue(self.name, O_CREX, max_messages=capacity, max_message_size=size)
        self.model = Model(capacity)
        self.size = size
        self.rights = [first, second]
        self.handles = [MessageQueue(self.name, **RIGHTS[each]) for each in self.rights]

    def same(self, real, model):
        """Do it for real and in the model: both return the same, or both raise BusyError."""
        try:
            expected = model()
        except BusyError:
            with pytest.raises(BusyError):
                real()
        else:
            assert real() == expected

    @rule(side=sides, message=messages, priority=priorities)
    def send(self, side, message, priority):
        handle = self.handles[side]
        if self.rights[side] == "reader":
            with pytest.raises(PermissionsError):
                handle.send(message[: self.size], timeout=0, priority=priority)
        elif len(message) > self.size:
            with pytest.raises(ValueError, match="max_message_size"):
                handle.send(message, timeout=0, priority=priority)
        else:
            self.same(
                lambda: handle.send(message, timeout=0, priority=priority),
                lambda: self.model.send(message, priority),
            )

    @rule(side=sides, timeout=st.sampled_from([0, 0.001]))
    def receive(self, side, timeout):
        handle = self.handles[side]
        if self.rights[side] == "writer":
            with pytest.raises(PermissionsError):
                handle.receive(timeout)
        else:
            self.same(lambda: handle.receive(timeout), self.model.receive)

    @rule(side=sides)
    def receive_without_blocking(self, side):
        """Whatever the timeout, a handle that does not block does not wait."""
        if self.rights[side] == "writer":
            return
        handle = self.handles[side]
        handle.block = False
        self.same(handle.receive, self.model.receive)
        handle.block = True

    @rule(side=sides, message=messages)
    def send_without_blocking(self, side, message):
        if self.rights[side] == "reader":
            return
        handle = self.handles[side]
        handle.block = False
        message = message[: self.size]
        self.same(lambda: handle.send(message), lambda: self.model.send(message, 0))
        handle.block = True

    @rule(side=sides)
    def receive_all(self, side):
        if self.rights[side] == "writer":
            return
        expected = [self.model.receive() for _ in range(len(self.model.held))]
        assert [self.handles[side].receive(0) for _ in expected] == expected

    @rule(side=sides, kind=rights)
    def close_and_reopen(self, side, kind):
        handle = self.handles[side]
        handle.close()
        with pytest.raises(ExistentialError):
            handle.receive(0)
        self.handles[side] = MessageQueue(self.name, **RIGHTS[kind])
        self.rights[side] = kind

    @rule(side=sides, kind=rights)
    def open_another_with_other_wishes(self, side, kind):
        with MessageQueue(self.name, max_messages=9, max_message_size=9, **RIGHTS[kind]) as other:
            assert (other.max_messages, other.max_message_size) == (self.model.capacity, self.size)

    @invariant()
    def counts_agree(self):
        for handle in self.handles:
            assert handle.current_messages == len(self.model.held)
            assert (handle.max_messages, handle.max_message_size) == (self.model.capacity, self.size)

    def teardown(self):
        if not self.handles:
            return
        for handle in (self.keeper, *self.handles):
            if not handle.closed:
                handle.close()
        self.keeper.unlink()


class TestQueueAgainstModel(QueueAgainstModel.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
