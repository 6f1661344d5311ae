"""The soak: several processes, every fault at random, every message accounted for.

    tox run -e soak -- --minutes 30

It goes in rounds of a few seconds. Each makes a queue, lets senders and receivers of all kinds at it, and does them
harm: SIGKILL, storms of signals, stops, forks, handles closed and reopened, requests made and cancelled. Then it lets
them end, drains the queue and counts: each message that a sender was told is sent was received, or lay in the queue,
once.

What was received is written into memory that outlives the process. A receiver that receives straight into it can be
killed at any instant and loses nothing; one that has the message in its hands first may lose what one call returned.
The memory must be there, in pages that nobody writes back: the kernel takes a message off the queue before it copies
it, and where the copy meets a page that is missing, SIGKILL ends it there (226 of 101,982 messages were lost so in
1,500 kills of a receiver that had fresh pages only, none of 213,206 in 800 with pages that were there).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import mmap
import os
import random
import select
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

from posix_ipc_swig import O_CREX, BusyError, MessageQueue, notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from posix_ipc_swig.listening import Listening

CAPACITY = 8
MESSAGE = struct.Struct("=IHHQ")  # a mark, the sender, the priority, the number
MARK = 0x51A4B2C3
SLOT = 16
SLOTS = 1 << 18
# With fewer slots left than this a receiver takes no more: it must be able to write down what it has in hand.
RESERVE = 1000
SENT = struct.Struct("=QQ")  # numbers up to which a send was begun, and was confirmed
SEND, DRAIN, END = range(3)
# Seconds in which a process must end when told so.
PATIENCE = 60


class Room:
    """Memory that outlives the process which writes to it."""

    def __init__(self, path: Path, size: int) -> None:
        with open(path, "w+b") as file:
            file.truncate(size)
            self.memory = mmap.mmap(file.fileno(), size)


class Received:
    """What one process received: a row of slots."""

    def __init__(self, path: Path) -> None:
        self.view = memoryview(Room(path, SLOTS * SLOT).memory)
        self.used = 0
        self.lock = threading.Lock()

    def settle(self) -> None:
        """Have every page there, in this process."""
        for start in range(0, len(self.view), mmap.PAGESIZE):
            self.view[start] = 0

    @property
    def full(self) -> bool:
        return self.used > SLOTS - RESERVE

    def slot(self) -> memoryview:
        with self.lock:
            start = self.used * SLOT
            self.used += 1
        return self.view[start : start + SLOT]

    def add(self, message: bytes) -> None:
        self.slot()[:] = message

    def messages(self) -> list[tuple[int, int, int]]:
        """Sender, priority and number of each."""
        found, empty = [], 0
        for mark, *message in MESSAGE.iter_unpack(self.view):
            if mark == MARK:
                found.append(tuple(message))
                empty = 0
            else:
                empty += 1
                if empty == 100:  # a thread that was killed may have left one so, and there are few
                    break
        return found


class Actor:
    """What a process of a round is and does. `hands`: how many messages it may hold when it is killed."""

    hands = 0

    def __init__(self, name: str, number: int, folder: Path, phase: mmap.mmap, seed: int) -> None:
        self.name, self.number, self.phase = name, number, phase
        self.random = random.Random(seed)
        self.faults: collections.Counter[str] = collections.Counter()
        self.tally = Room(folder / f"tally-{number}", 4096).memory
        self.prepare(folder)

    def prepare(self, folder: Path) -> None:
        pass

    def settle(self) -> None:
        """In the process, before it runs."""

    def now(self, phase: int) -> bool:
        return self.phase[0] >= phase

    def count(self, fault: str) -> None:
        """Note a fault that this process does to itself, where it outlives the process."""
        self.faults[fault] += 1
        text = json.dumps(self.faults).encode()
        self.tally[: len(text) + 1] = text + b"\0"

    def counted(self) -> dict[str, int]:
        text = self.tally[:].split(b"\0", 1)[0]
        try:
            return json.loads(text) if text else {}
        except ValueError:  # killed in the midst of writing
            return {}

    def open(self, **rights: bool) -> MessageQueue:
        return MessageQueue(self.name, **rights)

    def run(self) -> None:
        raise NotImplementedError


class Sender(Actor):
    def prepare(self, folder: Path) -> None:
        self.record = Room(folder / f"sent-{self.number}", SENT.size).memory

    def sent(self) -> tuple[int, int]:
        return SENT.unpack(self.record[:])

    def run(self) -> None:
        queue, number = self.open(read=False), 0
        while not self.now(DRAIN):
            batch, priority = self.random.choice([0, 0, 0, 5]), self.random.randrange(3)
            messages = [MESSAGE.pack(MARK, self.number, priority, number + 1 + index) for index in range(batch or 1)]
            self.record[:] = SENT.pack(number + len(messages), number)
            try:
                if batch:
                    number += queue.send_many(messages, 0.05, priority)
                else:
                    queue.send(messages[0], self.random.choice([0, 0.01, 0.05]), priority)
                    number += 1
            except BusyError:
                pass
            self.record[:] = SENT.pack(number, number)
            if self.random.random() < 0.002:
                queue.close()
                queue = self.open(read=False)
                self.count("handle closed and reopened")
            elif self.random.random() < 0.02:
                time.sleep(self.random.random() * 0.002)
        queue.close()


class Receiver(Actor):
    # Whether it receives in one thread at a time, and so what one sender sent with one priority comes in order.
    ordered = True

    def prepare(self, folder: Path) -> None:
        self.received = Received(folder / f"received-{self.number}")

    def settle(self) -> None:
        self.received.settle()

    def run(self) -> None:
        queue = self.open(write=self.random.random() < 0.5)
        while not self.now(END):
            if self.received.full:
                break
            try:
                self.receive(queue)
            except BusyError:
                if self.now(DRAIN) and self.done(queue):
                    break
            if self.random.random() < 0.002:
                if self.random.random() < 0.5:
                    queue.close()
                    self.count("handle closed and reopened")
                else:
                    number = queue.mqd
                    del queue
                    os.close(number)  # it stayed open, or this would raise
                    self.count("handle dropped open")
                queue = self.open()
        queue.close()

    def done(self, queue: MessageQueue) -> bool:
        return queue.current_messages == 0

    def receive(self, queue: MessageQueue) -> None:
        """Straight into the memory that outlives this process."""
        slot = self.received.slot()
        try:
            queue.receive_into(slot, 0.05)
        except BusyError:
            self.received.used -= 1
            raise


class Interrupt(Exception):
    """What a signal handler raises."""


class Interrupted(Receiver):
    """A handler raises in its waits; whatever had come by then is in the slot."""

    inside = False

    def settle(self) -> None:
        super().settle()
        signal.signal(signal.SIGUSR1, self.interrupt)

    def interrupt(self, number: int, frame: object) -> None:
        if self.inside:
            self.inside = False
            raise Interrupt

    def receive(self, queue: MessageQueue) -> None:
        slot = self.received.slot()
        try:
            try:
                self.inside = True
                queue.receive_into(slot, 0.05)
            finally:
                self.inside = False
        except Interrupt:
            self.count("handler of a signal raised")
            if MESSAGE.unpack(slot)[0] != MARK:
                self.received.used -= 1
        except BusyError:
            self.received.used -= 1
            raise


class OneByOne(Receiver):
    hands = 1

    def receive(self, queue: MessageQueue) -> None:
        self.received.add(queue.receive(self.random.choice([0, 0.02]))[0])


class InBatches(Receiver):
    hands = CAPACITY

    def receive(self, queue: MessageQueue) -> None:
        for message, _ in queue.receive_many(None, 0.05):
            self.received.add(message)


class Threads(Receiver):
    """Several threads on one handle, which is closed under them now and then."""

    hands = 3
    ordered = False

    def run(self) -> None:
        def work() -> None:
            while not self.now(END) and not self.received.full:
                try:
                    self.received.add(queue.receive(0.02)[0])
                except BusyError:
                    if self.now(DRAIN):
                        return
                except OSError:
                    if not queue.closed:
                        raise
                    return

        while not self.now(DRAIN) and not self.received.full:
            queue = self.open()
            threads = [threading.Thread(target=work) for _ in range(self.hands)]
            for thread in threads:
                thread.start()
            time.sleep(self.random.random() * 0.2)
            queue.close()
            self.count("handle closed under waiting threads")
            for thread in threads:
                thread.join()


class Listens(Receiver):
    hands = 1
    listener: Listening | None = None

    def run(self) -> None:
        while not self.now(DRAIN) and not self.received.full:
            with self.open() as queue:
                self.listener = None
                listener = self.listener = queue.listen(lambda message, _: self.handle(message))
                time.sleep(self.random.random() * 0.2)
                if self.random.random() < 0.5:
                    listener.stop()
                    self.count("listener stopped")
                else:
                    queue.close()
                    listener.stop()
                    self.count("handle closed under its listener")

    def handle(self, message: bytes) -> None:
        self.received.add(message)
        if self.received.full:
            while self.listener is None:  # it may be called before listen() has returned
                time.sleep(0.001)
            self.listener.stop()
        if self.random.random() < 0.01:
            self.count("handler raised")
            raise LookupError("a handler's own error")


class Callbacks(Receiver):
    """Callbacks that ask again, then take all there is."""

    hands = 1

    def run(self) -> None:
        self.taking, self.over = threading.Lock(), False
        queue = self.open()
        while not self.now(DRAIN) and not self.received.full:
            try:
                self.ask(queue)
            except BusyError:  # another process has the request
                self.count("request refused")
            time.sleep(0.02)
            if self.random.random() < 0.1:
                queue.close()
                queue = self.open()
                self.count("handle closed with a request pending")
        queue.close()
        with self.taking:  # a callback that takes messages does so to its end; one that comes later takes none
            self.over = True

    def ask(self, queue: MessageQueue) -> None:
        def callback(param: object) -> None:
            self.count("callback")
            with contextlib.suppress(OSError):  # closed meanwhile, or busy
                queue.request_notification((callback, None))
            with self.taking, contextlib.suppress(OSError):
                while not self.over and not self.received.full:
                    self.received.add(queue.receive(0)[0])

        queue.request_notification((callback, None))
        if self.random.random() < 0.3:
            queue.request_notification()
            self.count("request cancelled")


class Forks(Receiver):
    """Children use, close and drop what they inherit while a thread of the parent waits on it."""

    hands = 1

    def run(self) -> None:
        queue = self.open()

        def work() -> None:
            while not self.now(DRAIN) and not self.received.full:
                with contextlib.suppress(BusyError):
                    self.received.add(queue.receive(0.05)[0])

        thread = threading.Thread(target=work)
        thread.start()
        while not self.now(DRAIN) and not self.received.full:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    number = queue.mqd
                    assert queue.current_messages >= 0
                    with contextlib.suppress(BusyError):
                        queue.request_notification((print, None))
                        queue.request_notification()
                    queue.close()
                    assert not os.path.exists(f"/proc/self/fd/{number}")
                    status = 0
                finally:
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            self.count("child that closed what it inherited")
            time.sleep(0.005)
        thread.join()
        queue.close()


class Signals(Actor):
    """Signals as notifications, from a request that this process makes, drops and makes again."""

    def run(self) -> None:
        came = []
        signal.signal(signal.SIGRTMIN, lambda number, frame: came.append(number))
        while not self.now(DRAIN):
            with self.open() as queue:
                with contextlib.suppress(BusyError):
                    queue.request_notification(signal.SIGRTMIN)
                    self.count("signal requested")
                select.select([queue], [], [], 0.02)


def held() -> tuple[int, int]:
    """Descriptors and threads of this process, but for those of the library's listeners, which come and go."""
    with notify._lock:  # under which they do
        theirs = sum(len((listener.socket, listener.wake)) for listener in notify._listeners)
        descriptors = len(os.listdir("/proc/self/fd")) - theirs
    return descriptors, sum(thread.name != "posix_ipc_swig listener" for thread in threading.enumerate())


RECEIVERS = (Receiver, Receiver, Interrupted, OneByOne, InBatches, Threads, Listens, Callbacks, Forks)


class Round:
    """One queue, its processes, and the account at the end."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.random, self.folder = rng, folder
        self.queue = MessageQueue(None, O_CREX, max_messages=CAPACITY, max_message_size=SLOT)
        self.phase = Room(folder / "phase", 1).memory
        self.actors: list[Actor] = []
        self.running: dict[int, Actor] = {}
        self.killed: list[Actor] = []
        self.faults: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []

    def start(self, kind: type[Actor]) -> None:
        actor = kind(self.queue.name, len(self.actors) + 1, self.folder, self.phase, self.random.getrandbits(32))
        self.actors.append(actor)
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            self.play(actor)
        self.running[process] = actor

    def play(self, actor: Actor) -> None:
        """Be an actor, and end the process."""
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            warnings.simplefilter("ignore")
            threading.excepthook = lambda args: None if args.exc_type is LookupError else self.complain(actor)
            self.queue.close()
            actor.settle()
            before = held()
            actor.run()
            self.look_for_leaks(before)
            status = 2 if (self.folder / f"complaint-{actor.number}").exists() else 0
        except BaseException:
            self.complain(actor)
        finally:
            os._exit(status)

    def look_for_leaks(self, before: tuple[int, int]) -> None:
        """Callbacks and listeners may have some way to go."""
        deadline = time.monotonic() + PATIENCE / 2
        while held() != before:
            if time.monotonic() > deadline:
                raise AssertionError(f"descriptors and threads: {before} at the start, {held()} at the end")
            time.sleep(0.002)

    def complain(self, actor: Actor) -> None:
        path = self.folder / f"complaint-{actor.number}"
        with open(path, "a") as file:
            traceback.print_exc(file=file)

    def reap(self) -> None:
        for process in list(self.running):
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                self.ended(process, status)

    def ended(self, process: int, status: int) -> None:
        actor = self.running.pop(process)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and actor in self.killed:
            return
        if status != 0:
            complaint = self.folder / f"complaint-{actor.number}"
            text = complaint.read_text() if complaint.exists() else ""
            self.problems.append(f"{type(actor).__name__} ended with status {status}\n{text}")

    def harm(self) -> None:
        """One fault."""
        if not self.running:
            return
        process = self.random.choice(list(self.running))
        actor = self.running[process]
        choice = self.random.random()
        if choice < 0.25:
            self.killed.append(actor)
            os.kill(process, signal.SIGKILL)
            self.ended(*os.waitpid(process, 0))
            self.faults["sender killed" if isinstance(actor, Sender) else "receiver killed"] += 1
            self.start(type(actor))
        elif choice < 0.35:
            os.kill(process, signal.SIGSTOP)
            time.sleep(self.random.random() * 0.02)
            os.kill(process, signal.SIGCONT)
            self.faults["process stopped and continued"] += 1
        else:
            for _ in range(self.random.choice([1, 20, 200])):
                os.kill(process, signal.SIGUSR1)
                self.faults["signal"] += 1

    def run(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for _ in range(2):
            self.start(Sender)
        # In some rounds nobody has a message in its hands when it is killed: then each that is missing is a loss.
        kinds = [kind for kind in RECEIVERS if kind.hands == 0] if self.random.random() < 0.3 else RECEIVERS
        for kind in (Receiver, self.random.choice(kinds), self.random.choice(kinds)):
            self.start(kind)
        if self.random.random() < 0.5:
            self.start(Signals)
        while time.monotonic() < deadline:
            time.sleep(self.random.random() * 0.05)
            self.harm()
            self.reap()
        self.settle(DRAIN, lambda: any(isinstance(actor, Sender) for actor in self.running.values()))
        self.settle(END, lambda: bool(self.running))

    def settle(self, phase: int, waiting: Callable[[], bool]) -> None:
        self.phase[0] = phase
        deadline = time.monotonic() + PATIENCE
        while waiting():
            self.reap()
            if time.monotonic() > deadline:
                kinds = [type(actor).__name__ for actor in self.running.values()]
                self.problems.append(f"these did not end: {kinds}")
                self.stop()
            time.sleep(0.002)

    def stop(self) -> None:
        for process, actor in list(self.running.items()):
            self.killed.append(actor)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            del self.running[process]

    def account(self) -> dict[str, int]:
        """Count, and note what is wrong: lost, twice, out of order, or sent by nobody."""
        got: collections.Counter[tuple[int, int]] = collections.Counter()
        for actor in self.actors:
            if isinstance(actor, Receiver):
                received = actor.received.messages()
                got.update((sender, number) for sender, _, number in received)
                if actor.ordered:
                    self.check_order(actor, received)
            for fault, times in actor.counted().items():
                self.faults[fault] += times
        with contextlib.suppress(BusyError):
            while True:
                mark, sender, _, number = MESSAGE.unpack(self.queue.receive(0)[0])
                assert mark == MARK
                got[sender, number] += 1
        sent = {actor.number: actor.sent() for actor in self.actors if isinstance(actor, Sender)}
        unknown = [message for message in got if not 1 <= message[1] <= sent.get(message[0], (0, 0))[0]]
        twice = {message: times for message, times in got.items() if times > 1}
        missing = [
            f"{number} of sender {sender}, which sent {told}"
            for sender, (_, told) in sent.items()
            for number in range(1, told + 1)
            if (sender, number) not in got
        ]
        hands = sum(actor.hands for actor in self.killed)
        if unknown:
            self.problems.append(f"{len(unknown)} messages that nobody sent: {sorted(unknown)[:20]} (sender, number)")
        if twice:
            self.problems.append(f"{len(twice)} messages more than once: {sorted(twice.items())[:20]}")
        if len(missing) > hands:
            kinds = [f"{actor.number} {type(actor).__name__}" for actor in self.actors]
            killed = [actor.number for actor in self.killed]
            self.problems.append(f"lost: {missing[:20]}; the processes were {kinds}, of which {killed} were killed")
        return {
            "messages": sum(told for _, told in sent.values()),
            "in_dead_hands": min(len(missing), hands),
            "losses": max(0, len(missing) - hands),
            "duplicates": sum(times - 1 for times in twice.values()),
        }

    def check_order(self, actor: Receiver, received: list[tuple[int, int, int]]) -> None:
        """One that comes again is no matter of order."""
        last: dict[tuple[int, int], int] = {}
        for sender, priority, number in received:
            before = last.get((sender, priority), 0)
            if number < before:
                self.problems.append(
                    f"{number} of sender {sender} came to {actor.number} {type(actor).__name__} after {before}, "
                    f"both with priority {priority}"
                )
                return
            last[sender, priority] = number

    def close(self) -> None:
        self.stop()
        self.queue.close()
        self.queue.unlink()


def memory_folder() -> str | None:
    """Return where files are memory, if there is enough of it: None is the usual place."""
    place = "/dev/shm"
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    return place if os.access(place, os.W_OK) and found.f_bavail * found.f_frsize > 1 << 30 else None


def main() -> int:
    parser = argparse.ArgumentParser(description="Every fault at random; every message accounted for.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="repeat the faults of another run")
    parser.add_argument("--output", type=Path, default=Path("report/soak.json"))
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    print(f"seed {seed}, {options.minutes:g} minutes", flush=True)
    signal.signal(signal.SIGUSR1, lambda number, frame: None)  # every process has it from its first instant

    begun = said = time.monotonic()
    totals: collections.Counter[str] = collections.Counter()
    faults: collections.Counter[str] = collections.Counter()
    problems: list[str] = []
    rounds, interrupted = 0, False

    def result() -> dict[str, object]:
        seconds = time.monotonic() - begun
        return {
            "seed": seed,
            "minutes": round(seconds / 60, 2),
            "rounds": rounds,
            "messages": totals["messages"],
            "load": round(totals["messages"] / seconds),
            "faults": dict(sorted(faults.items())),
            "in_dead_hands": totals["in_dead_hands"],
            "losses": totals["losses"],
            "duplicates": totals["duplicates"],
            "problems": problems,
            "interrupted": interrupted,
        }

    try:
        while time.monotonic() < begun + options.minutes * 60:
            with tempfile.TemporaryDirectory(prefix="soak-", dir=memory_folder()) as folder:
                one = Round(Path(folder), rng)
                try:
                    one.run(1 + 3 * rng.random())
                    totals.update(one.account())
                finally:
                    one.close()
                    faults.update(one.faults)
                    problems.extend(one.problems)
                    for problem in one.problems:
                        print(problem, flush=True)
            rounds += 1
            if time.monotonic() > said + 10:
                said = time.monotonic()
                print(
                    f"{(said - begun) / 60:5.1f} min: {rounds} rounds, {totals['messages']} messages, "
                    f"{sum(faults.values())} faults, {totals['losses']} lost, {totals['duplicates']} twice, "
                    f"{len(problems)} problems",
                    flush=True,
                )
    except KeyboardInterrupt:
        interrupted = True
    summary = result()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))
    print(f"written to {options.output}")
    if interrupted:
        return 130
    return 1 if problems or totals["losses"] or totals["duplicates"] or rounds == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
