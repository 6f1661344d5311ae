"""How long do a send and a receive take, in one process, on a queue that never makes them wait?"""

from __future__ import annotations

from cases import OURS, PEER, RAW, Case, Target
from subjects import in_one_process


def largest() -> int:
    """Return the largest message size that fs.mqueue.msgsize_max allows."""
    try:
        with open("/proc/sys/fs/mqueue/msgsize_max") as file:
            return int(file.read())
    except OSError:
        return 8192


def pair(name: str, size: int, max_message_size: int = 0, target: Target | None = None) -> Case:
    capacity = max(size, max_message_size, 1)
    # Six bindings and the C loop each have a queue, under a limit of 819,200 bytes in all.
    return Case(
        name,
        "latency",
        "a send and a receive",
        "pairs",
        size=size,
        max_messages=1 if capacity > 8192 else 2,
        max_message_size=capacity,
        target=target,
    )


CASES = [
    pair("64 bytes, no timeout", 64, target=Target("send and receive, one process", to_peer=0.84, to_floor=1.20)),
    pair("4096 bytes, no timeout", 4096, target=Target("4 KiB", to_peer=0.92, to_floor=1.20)),
    pair(
        "64 bytes through a queue of 128 KiB messages",
        64,
        131072,
        target=Target("64 bytes through a queue of 128 KiB messages", to_peer=0.84),
    ),
    pair("131072 bytes, no timeout", 131072, target=Target("128 KiB messages", to_peer=1.00)),
    *(pair(f"{size} bytes, no timeout", size) for size in (0, 1, 16, 256, 1024, 2048, 8192, 16384, 32768, 65536)),
    *(
        pair(f"{size} bytes, no timeout", size)
        for size in sorted({262144, 1048576, largest()})
        if 131072 < size <= largest()
    ),
]

STATEMENTS = {
    PEER: "sender.send(message); receiver.receive()",
    OURS: "sender.send(message); receiver.receive()",
    RAW: "library.mq_send(sender, message, 0); library.mq_receive(receiver, room)",
    "ipcqueue": "sender.put(message); receiver.get()",
    "python-posixipc": "sender.put(message); receiver.get()",
    "multiprocessing.Pipe": "sender.send_bytes(message); receiver.recv_bytes()",
    "SEQPACKET socket pair": "sender.send(message); receiver.recv(room)",
    "multiprocessing.Queue": "sender.put(message); receiver.get()",
    "pyzmq ipc": "sender.send(message); receiver.recv()",
}
SUBJECTS = in_one_process(STATEMENTS)


def test_pair(report, case, subject):
    report(case, subject)
