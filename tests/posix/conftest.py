"""The table of rules, the marker that names a test's rules, and what the tests need.

`@rule("mq_open.7")` runs a test once for each rule that it names, with the rule as the end of the test's id, so
`pytest -k mq_open.7` finds it: that rule, and not mq_open.70 too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.register_assert_rewrite("posix_support")

from posix_support import ATTR, CREATE, LIMIT, NOBODY, Call, Peer, fill, soon  # noqa: E402 # after the line above

from posix_ipc_swig import raw  # noqa: E402 # as above

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_counter = itertools.count()


def pytest_configure(config):
    config.addinivalue_line("markers", "rule(*ids): the rules of tests/posix/rules.toml that a test checks")
    # An id ends a test's name, so its closing bracket keeps -k from finding longer numbers.
    config.option.keyword = re.sub(r"\b(mq\w*\.\d+)(?![\w\]])", r"\1]", config.option.keyword)


@pytest.hookimpl(trylast=True)  # after other parameters: the rule ends the id
def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("rule")
    if marker is not None:
        if "rule" not in metafunc.fixturenames:
            metafunc.fixturenames.append("rule")
        metafunc.parametrize("rule", marker.args, indirect=True)


@pytest.fixture
def rule(request):
    """The id of the rule that is checked."""
    return request.param


@pytest.fixture(scope="session")
def rules():
    """The table, as a list of dicts."""
    return tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))["rule"]


@pytest.fixture
def make_name():
    """Return names that no queue has; what has one of them at the end is unlinked."""
    names = []

    def make():
        names.append(f"/rule-{os.getpid()}-{next(_counter)}-{secrets.token_hex(4)}")
        return names[-1]

    yield make
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            raw.mq_unlink(name)


@pytest.fixture
def name(make_name):
    """A name that no queue has."""
    return make_name()


@pytest.fixture
def open_queue(name):
    """Create the queue `name`, or open it again with an oflag of one's own."""
    opened = []

    def open_queue(oflag=CREATE, mode=0o600, attr=ATTR, name=name):
        opened.append(raw.mq_open(name, oflag, mode, attr))
        return opened[-1]

    yield open_queue
    for mqd in opened:
        # Closed already when EBADF: then the number may be anybody's.
        with contextlib.suppress(OSError):
            raw.mq_getattr(mqd)
            raw.mq_close(mqd)


@pytest.fixture
def mqd(open_queue):
    """A descriptor, for both ways, of a new queue for 4 messages of 32 bytes."""
    return open_queue()


@pytest.fixture
def full(mqd):
    """The same of a queue that is full."""
    fill(mqd)
    return mqd


@pytest.fixture
def send(rule):
    """mq_send(), or mq_timedsend() with a deadline far off, whichever the rule is about."""
    if not rule.startswith("mq_timed"):
        return raw.mq_send
    return lambda mqd, message, priority=0: raw.mq_timedsend(mqd, message, priority, soon())


@pytest.fixture
def receive(rule):
    """mq_receive(), or mq_timedreceive() with a deadline far off, whichever the rule is about."""
    if not rule.startswith("mq_timed"):
        return raw.mq_receive
    return lambda mqd, size: raw.mq_timedreceive(mqd, size, soon())


@pytest.fixture
def send_source(rule):
    """A call of either, for another process to run."""
    if not rule.startswith("mq_timed"):
        return "raw.mq_send(mqd, message, 0)"
    return f"raw.mq_timedsend(mqd, message, 0, raw.timespec(int(time.time()) + {LIMIT}))"


@pytest.fixture
def receive_source(rule):
    """A call of either, for another process to run; its size is the tests' queues'."""
    if not rule.startswith("mq_timed"):
        return "raw.mq_receive(mqd, 32)"
    return f"raw.mq_timedreceive(mqd, 32, raw.timespec(int(time.time()) + {LIMIT}))"


@pytest.fixture
def start_peer(name):
    """Start another process, which knows the queue's name; it is killed at the end."""
    peers = []

    def start(prefix=()):
        peers.append(Peer(prefix, name=name))
        return peers[-1]

    yield start
    for peer in peers:
        peer.exit()


@pytest.fixture
def peer(start_peer):
    """Another process."""
    return start_peer()


@pytest.fixture
def root():
    """Some rules are about a second user."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")


@pytest.fixture
def unprivileged(peer):
    """Another process, whom permissions bind: of user 65534 when this one is root, else of the same user."""
    if os.geteuid() == 0:
        try:
            peer.do("become(user)", user=NOBODY)
        except OSError as error:
            pytest.skip(f"root may not become another user here: {error}")
    return peer


@pytest.fixture(scope="session")
def namespace_prefix():
    """The command that runs another in IPC and mount namespaces of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    for users in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *users, "--ipc", "--mount"]
        result = subprocess.run([*command, "true"], capture_output=True, text=True)
        if result.returncode == 0:
            return command
    pytest.skip(f"no IPC namespace of one's own here: {result.stderr.strip()}")


@pytest.fixture
def namespace(start_peer, namespace_prefix):
    """A process in an IPC namespace of its own, where it may set fs.mqueue.*: sysctl(name, value)."""
    peer = start_peer(namespace_prefix)
    try:
        peer.do("sysctl('msg_max', 10)")
    except OSError as error:
        pytest.skip(f"fs.mqueue.* cannot be set here: {error}")
    return peer


@pytest.fixture
def mounted(namespace, tmp_path):
    """A process in such a namespace, with its queues mounted at `root`, and `name` there as `path`."""
    mount = "libc.mount(b'none', root.encode(), b'mqueue', 0, None) and ctypes.get_errno()"
    error = namespace.do(mount, root=str(tmp_path))
    if error:
        pytest.skip(f"the queues' file system cannot be mounted here: {os.strerror(error)}")
    namespace.do("path = root + name")
    return namespace


@pytest.fixture
def shown(request, start_peer):
    """A process whose queues are mounted at `root`, with `name` there as `path`: at /dev/mqueue, or where it can be."""
    peer = start_peer()
    with open("/proc/self/mountinfo") as file:
        kinds = [line.partition(" - ")[2].split()[0] for line in file if line.split()[4] == "/dev/mqueue"]
    if kinds[-1:] != ["mqueue"]:
        return request.getfixturevalue("mounted")
    peer.do("path = '/dev/mqueue' + name", root="/dev/mqueue")
    peer.do(f"raw.mq_close(raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 1)))")
    mine = peer.do("os.path.exists(path)")
    peer.do("raw.mq_unlink(name)")
    return peer if mine else request.getfixturevalue("mounted")  # it may show another namespace


@pytest.fixture
def real_time():
    """Return a function that gives the calling thread a SCHED_FIFO priority."""

    def become(priority):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))

    try:
        Call(become, 1).result()
    except (AttributeError, OSError) as error:
        pytest.skip(f"SCHED_FIFO cannot be had here: {error}")
    return become


@pytest.fixture
def become_nice():
    """Return a function that sets the calling thread's nice value; only upwards, so nothing may forbid it."""

    def become(nice):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)

    if os.getpriority(os.PRIO_PROCESS, 0) > 4:
        pytest.skip("the tests run at a nice value over 4: it can only be raised")
    return become


@pytest.fixture
def cap_sys_resource():
    """Some rules are about a process that fs.mqueue.* does not bind."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    if not effective >> 24 & 1 or os.stat("/proc/self/ns/user").st_ino != 0xEFFFFFFD:
        pytest.skip("needs CAP_SYS_RESOURCE of the initial user namespace")


@pytest.fixture
def alone(start_peer):
    """Another process, of a user whose queues nobody else makes, as far as the system allows."""
    if os.geteuid() == 0:
        peer = start_peer()
        with contextlib.suppress(OSError):
            peer.do("become(user)", user=2**20 + secrets.randbelow(2**30))
        return peer
    # In a user namespace of one's own the count begins at nothing (Linux 5.14).
    prefix = ["unshare", "--user", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        prefix = []
    return start_peer(prefix)
