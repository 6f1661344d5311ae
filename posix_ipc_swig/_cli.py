"""The command line: python -m posix_ipc_swig limits."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import textwrap
from dataclasses import asdict

from . import _limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._records import Fit, Limits

_WIDTH = 80
_DOES_NOT_FIT = 1
_UNSUPPORTED = 3

_DESCRIPTION = """\
Print the limits of POSIX message queues: those of this process, in the IPC
namespace that it is in (a container has one of its own), at this moment.

With --max-messages or --max-message-size, also say whether such a queue can be
made, how many, and what to run where it cannot. It is found out by making one:
the queue has a random name and is gone at once.
"""

_EPILOG = """\
examples:
  python -m posix_ipc_swig limits
  python -m posix_ipc_swig limits --max-messages 100 --max-message-size 4096
  python -m posix_ipc_swig limits --json | jq .limits.msg_max
  docker run --sysctl fs.mqueue.msg_max=99 IMAGE python -m posix_ipc_swig limits

exit status:
  0  the limits are printed, and the queue that was asked for fits
  1  the queue that was asked for does not fit
  2  the arguments make no sense
  3  this system has no message queues
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        limits = _limits.limits()
    except NotImplementedError as error:
        print(error, file=sys.stderr)
        return _UNSUPPORTED
    fit = None
    if asked.max_messages is not None or asked.max_message_size is not None:
        fit = _limits.fits(asked.max_messages, asked.max_message_size)
    lines = [_as_json(limits, fit)] if asked.json else [*_table(limits), *(() if fit is None else _answer(limits, fit))]
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # Whoever read, head say, has enough. Nothing may be left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if fit is None or fit else _DOES_NOT_FIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m posix_ipc_swig",
        description="POSIX message queues, from the command line.",
        epilog="'python -m posix_ipc_swig limits --help' says what it prints.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    limits = commands.add_parser(
        "limits",
        help="print the limits, whether a queue would fit, and how to make it fit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    limits.add_argument(
        "--max-messages", type=_positive, metavar="N", help="messages of the queue (default: fs.mqueue.msg_default)"
    )
    limits.add_argument(
        "--max-message-size",
        type=_positive,
        metavar="M",
        help="bytes a message of the queue (default: fs.mqueue.msgsize_default)",
    )
    limits.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def _as_json(limits: Limits, fit: Fit | None) -> str:
    result: dict[str, object] = {"limits": asdict(limits)}
    if fit is not None:
        sysctls, msgqueue = _remedies(limits, fit)
        result["queue"] = {
            **asdict(fit),
            "fits": bool(fit),
            "count": _count(limits, fit),
            "raise": {"sysctls": sysctls, "rlimit_msgqueue": msgqueue},
        }
    return json.dumps(result, indent=2)


def _table(limits: Limits) -> Iterator[str]:
    soft, hard = limits.rlimit_msgqueue
    rows = [
        ("limit", "value", "what it means"),
        ("fs.mqueue.msg_max", limits.msg_max, "most messages that a queue may hold"),
        ("fs.mqueue.msgsize_max", limits.msgsize_max, "most bytes that its messages may have"),
        ("fs.mqueue.queues_max", limits.queues_max, "most queues in this IPC namespace"),
        ("fs.mqueue.msg_default", limits.msg_default, "messages, where a program says nothing"),
        ("fs.mqueue.msgsize_default", limits.msgsize_default, "bytes a message, where it says nothing"),
        ("hard limit of msg_max", limits.hard_msg_max, "the kernel's own: nothing raises it"),
        ("hard limit of msgsize_max", limits.hard_msgsize_max, "the kernel's own: nothing raises it"),
        ("RLIMIT_MSGQUEUE, soft", _bytes(soft), "bytes for all queues of this user"),
        ("RLIMIT_MSGQUEUE, hard", _bytes(hard), "how far the user may raise that"),
        ("CAP_SYS_RESOURCE", "yes" if limits.may_exceed_sysctls else "no", "lifts fs.mqueue.*_max to the hard limits"),
        ("highest priority", limits.priority_max, "of a message; 0 is the lowest"),
        ("longest name", limits.name_max, "bytes after the slash"),
        ("queues now", limits.queues, "in this IPC namespace"),
        ("bytes now", limits.bytes, "that those queues count"),
        ("bytes of this user", limits.user_bytes, "that this user's count among them"),
    ]
    for name, value, meaning in rows:
        yield f"{name:<26}{'unknown' if value is None else value:>12}  {meaning}"
    if limits.queues is None:
        yield ""
        yield from _wrapped(
            "Queues and bytes now are unknown: no mqueue file system of this IPC namespace is mounted at "
            f"{_limits.MOUNT} (mount -t mqueue none {_limits.MOUNT}).",
            "",
        )


def _bytes(limit: int) -> object:
    return "unlimited" if limit == -1 else limit


def _answer(limits: Limits, fit: Fit) -> Iterator[str]:
    yield ""
    yield from _wrapped(
        f"A queue of {fit.max_messages} messages of {fit.max_message_size} bytes counts {fit.bytes} bytes. "
        f"It {'fits' if fit else 'does not fit'} now.",
        "",
    )
    if fit:
        yield from _wrapped(_how_many(limits, fit), "")
        return
    yield from _wrapped(fit.reason, "  ")
    sysctls, msgqueue = _remedies(limits, fit)
    if not sysctls and msgqueue is None:
        return
    yield "To make it fit, on a host:"
    for name, value in sysctls.items():
        yield f"  sysctl -w {name}={value}"
    if msgqueue is not None:
        hard = limits.rlimit_msgqueue[1]
        yield f"  ulimit -q {msgqueue}" + (f"  (as root: the hard limit is {hard})" if -1 < hard < msgqueue else "")
    yield "In a container, start it with:"
    options = [f"--sysctl {name}={value}" for name, value in sysctls.items()]
    options += [] if msgqueue is None else [f"--ulimit msgqueue={msgqueue}"]
    yield "  docker run " + " \\\n    ".join(options) + " ..."


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(limits: Limits, fit: Fit) -> int | None:
    """Return how many such queues fit, as far as can be known; None: no limit is known."""
    if not fit:
        return 0
    count = limits.count(fit.max_messages, fit.max_message_size)
    return None if count is None else max(count, 1)  # one was made


def _how_many(limits: Limits, fit: Fit) -> str:
    count = _count(limits, fit)
    if count is None:
        return "No limit bounds how many such queues fit."
    known = limits.user_bytes is not None
    return f"{'So do' if known else 'At most'} {count} of them" + (
        ", if this user has no queues in other namespaces."
        if known
        else " fit: what this user's queues count already is unknown."
    )


def _remedies(limits: Limits, fit: Fit) -> tuple[dict[str, int], int | None]:
    """Return all that must be raised for the queue to fit: the sysctls, and RLIMIT_MSGQUEUE. Nothing when it cannot."""
    sysctls: dict[str, int] = {}
    if fit or fit.max_messages > limits.hard_msg_max or fit.max_message_size > limits.hard_msgsize_max:
        return sysctls, None
    if fit.max_messages > limits.messages_allowed:
        sysctls["fs.mqueue.msg_max"] = fit.max_messages
    if fit.max_message_size > limits.message_size_allowed:
        sysctls["fs.mqueue.msgsize_max"] = fit.max_message_size
    if fit.errno == errno.ENOSPC and limits.queues_max is not None:
        sysctls["fs.mqueue.queues_max"] = max(limits.queues_max + 1, limits.queues_max * 2)
    soft = limits.rlimit_msgqueue[0]
    spent = limits.user_bytes or 0
    over = fit.errno == errno.EMFILE or spent + fit.bytes > soft
    # Enough whatever is spent: never more than the limit of now.
    return sysctls, soft + fit.bytes if soft != -1 and over else None
