"""The soak's account: what would be wrong in a run is planted, and must be reported."""

from __future__ import annotations

import random
import time

import pytest
import soak
from helpers import LIMIT, drain, no_tracer_beside_forks

from posix_ipc_swig import BusyError


@pytest.fixture
def one(tmp_path):
    """A round that sent 1 to 5 as sender 1, with priority 0, and began to send 6; none is running."""
    one = soak.Round(tmp_path, random.Random(1))
    for kind in (soak.Sender, soak.Receiver, soak.Threads):
        one.actors.append(kind(one.queue.name, len(one.actors) + 1, tmp_path, one.phase, 1))
    one.actors[0].record[:] = soak.SENT.pack(6, 5)
    yield one
    one.close()


def receive(one, *numbers, sender=1, priority=0, by=1):
    for number in numbers:
        one.actors[by].received.add(soak.MESSAGE.pack(soak.MARK, sender, priority, number))


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)], ids=["confirmed", "begun"])
def test_all_is_well(one, numbers):
    receive(one, *numbers)
    assert one.account() == {"messages": 5, "in_dead_hands": 0, "losses": 0, "duplicates": 0}
    assert not one.problems


def test_what_lies_in_the_queue_is_no_loss(one):
    receive(one, 1, 2, 3)
    one.queue.send_many([soak.MESSAGE.pack(soak.MARK, 1, 0, number) for number in (4, 5)])
    assert one.account()["losses"] == 0
    assert not one.problems


def test_a_loss_is_reported(one):
    receive(one, 1, 2, 4, 5)
    assert one.account()["losses"] == 1
    (problem,) = one.problems
    assert "lost: ['3 of sender 1, which sent 5']" in problem


def test_a_loss_in_dead_hands_is_none_but_only_as_many_as_they_hold(one):
    one.killed.append(one.actors[2])  # three threads
    receive(one, 1)
    assert one.account() == {"messages": 5, "in_dead_hands": 3, "losses": 1, "duplicates": 0}
    assert len(one.problems) == 1


def test_who_receives_into_what_outlives_him_has_no_hands(one):
    one.killed += one.actors[:2]
    receive(one, 1, 2, 3, 4)
    assert one.account()["losses"] == 1


@pytest.mark.parametrize("by", [1, 2], ids=["same receiver", "another"])
def test_a_duplicate_is_reported(one, by):
    receive(one, 1, 2, 3, 4, 5)
    receive(one, 5, by=by)
    assert one.account()["duplicates"] == 1
    (problem,) = one.problems
    assert "more than once: [((1, 5), 2)]" in problem


@pytest.mark.parametrize(("sender", "number"), [(1, 7), (1, 0), (2, 1), (9, 1)])
def test_a_message_that_nobody_sent_is_reported(one, sender, number):
    receive(one, 1, 2, 3, 4, 5)
    receive(one, number, sender=sender, by=2)
    one.account()
    (problem,) = one.problems
    assert f"nobody sent: [({sender}, {number})]" in problem


def test_a_message_out_of_order_is_reported(one):
    receive(one, 1, 3, 2, 4, 5)
    one.account()
    (problem,) = one.problems
    assert "2 of sender 1 came to 2 Receiver after 3" in problem


def test_order_is_one_of_each_priority_and_of_one_thread(one):
    receive(one, 2, priority=1)
    receive(one, 1)
    receive(one, 5, 4, 3, by=2)
    one.account()
    assert not one.problems


@no_tracer_beside_forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("kind", sorted(set(soak.RECEIVERS), key=lambda kind: kind.__name__))
def test_a_receiver_takes_nothing_that_it_has_no_slot_for(one, kind, monkeypatch):
    """It ends by itself when few slots are left; what it did not take is in the queue."""
    monkeypatch.setattr(soak, "RESERVE", 2 * soak.CAPACITY)
    monkeypatch.setattr(soak, "SLOTS", 3 * soak.CAPACITY)
    one.start(kind)
    number, deadline = 0, time.monotonic() + LIMIT
    while one.running:
        assert time.monotonic() < deadline, "it did not end"
        try:
            one.queue.send(soak.MESSAGE.pack(soak.MARK, 1, 0, number + 1), 0.01)
            number += 1
        except BusyError:  # a notification comes to an empty queue only
            for message, _ in drain(one.queue):
                one.actors[1].received.add(message)
        one.reap()
    one.actors[0].record[:] = soak.SENT.pack(number, number)
    assert one.account() == {"messages": number, "in_dead_hands": 0, "losses": 0, "duplicates": 0}
    assert not one.problems
    assert number > soak.CAPACITY
