"""Linux: mq_overview(7), and the parts of mq_open(3), mq_notify(3), getrlimit(2) and fs.mqueue that it leads to."""

from __future__ import annotations

import errno
import os
import select

import pytest
from posix_support import CREATE, count, fails, fill, wait_until

from posix_ipc_swig import raw

rule = pytest.mark.rule


def queue_of(peer, maxmsg, msgsize):
    """Make a queue in another process, where its descriptor is `mqd`, and unlink it."""
    peer.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, {maxmsg}, {msgsize}))")
    peer.do("raw.mq_unlink(name)")


def defaults_of(peer):
    """Make a queue without attributes in another process, and remove it; return its attributes, as text."""
    peer.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600)")
    peer.do("raw.mq_unlink(name)")
    attributes = peer.do("repr(raw.mq_getattr(mqd))")
    peer.do("raw.mq_close(mqd)")
    return attributes


def capacity(maxmsg, msgsize):
    return repr(raw.mq_attr(0, maxmsg, msgsize, 0))


@rule("mq_overview.1")
def test_a_name_is_a_slash_and_up_to_255_bytes(make_name, open_queue):
    for name in (make_name() + ".with all: sorts*of\tcharacters\xff", make_name().ljust(256, "x")):
        open_queue(CREATE, name=name)
        raw.mq_unlink(name)
    for name in ("/", "//", "/.", "/.."):
        with pytest.raises(OSError):
            raw.mq_open(name, CREATE, 0o600)


@rule("mq_overview.2")
def test_a_descriptor_can_be_polled(mqd):
    poll = select.poll()
    poll.register(mqd, select.POLLIN | select.POLLOUT)
    epoll = select.epoll()
    try:
        epoll.register(mqd, select.EPOLLIN | select.EPOLLOUT)
        for state, change in (
            (select.POLLOUT, lambda: raw.mq_send(mqd, b"one", 0)),
            (select.POLLIN | select.POLLOUT, lambda: [raw.mq_send(mqd, b"more", 0) for _ in range(3)]),
            (select.POLLIN, lambda: None),
        ):
            assert poll.poll(0) == epoll.poll(0) == [(mqd, state)]
            readable, writable, _ = select.select([mqd], [mqd], [], 0)
            assert (bool(readable), bool(writable)) == (bool(state & select.POLLIN), bool(state & select.POLLOUT))
            change()
    finally:
        epoll.close()


@rule("mq_overview.3")
def test_a_queue_outlives_the_process_that_made_it(name, start_peer):
    maker = start_peer()
    maker.do(f"raw.mq_send(raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 8)), b'hello', 3)")
    maker.exit()
    mqd = raw.mq_open(name, raw.O_RDONLY)
    assert raw.mq_receive(mqd, 8) == (b"hello", 3)
    raw.mq_close(mqd)


@rule("mq_overview.4")
def test_names_are_of_an_ipc_namespace(mqd, namespace, name):
    with fails(errno.ENOENT):
        namespace.do("raw.mq_open(name, raw.O_RDWR)")
    namespace.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 8))")
    namespace.do("raw.mq_send(mqd, b'there', 0)")
    assert count(mqd) == 0


@rule("mq_overview.5")
def test_a_child_inherits_descriptors(mqd, peer):
    peer.do("mqd = raw.mq_open(name, raw.O_RDWR)")
    child = "(raw.mq_send(mqd, b'from the child', 1), os._exit(0))"
    peer.do(f"(lambda pid: os.waitpid(pid, 0) if pid else {child})(os.fork())")
    assert peer.do("raw.mq_receive(mqd, 32)") == (b"from the child", 1)


@rule("mq_overview.6")
def test_a_descriptor_is_closed_by_exec(mqd, open_queue):
    for oflag in (raw.O_RDONLY, raw.O_RDWR | raw.O_CLOEXEC):
        assert not os.get_inheritable(open_queue(oflag))
    assert not os.get_inheritable(mqd)


@rule("mq_overview.7")
def test_there_are_32768_priorities(mqd):
    assert raw.MQ_PRIO_MAX == 32768
    raw.mq_send(mqd, b"hello", 32767)
    assert raw.mq_receive(mqd, 32) == (b"hello", 32767)


@rule("mq_overview.8")
def test_defaults_follow_msg_default_and_msgsize_default(namespace):
    assert defaults_of(namespace) == capacity(10, 8192)
    namespace.do("sysctl('msg_default', 5)")
    namespace.do("sysctl('msgsize_default', 512)")
    assert defaults_of(namespace) == capacity(5, 512)


@rule("mq_overview.9")
def test_defaults_are_never_over_the_ceilings(namespace):
    namespace.do("sysctl('msg_max', 3)")
    namespace.do("sysctl('msgsize_max', 256)")
    assert defaults_of(namespace) == capacity(3, 256)


def sysctl(name):
    with open(f"/proc/sys/fs/mqueue/{name}") as file:
        return int(file.read())


@rule("mq_overview.10")
def test_msg_max_is_the_ceiling_of_messages(unprivileged):
    unprivileged.do("drop_capabilities()")
    ceiling = sysctl("msg_max")
    with fails(errno.EINVAL):
        queue_of(unprivileged, ceiling + 1, 1)
    wait_until(lambda: fits(unprivileged, min(ceiling, 1000), 1))


@rule("mq_overview.11")
def test_msg_max_can_be_raised_and_lowered(namespace):
    for limit in (20, 4):
        namespace.do(f"sysctl('msg_max', {limit})")
        queue_of(namespace, limit, 1)
    namespace.do("drop_capabilities()")
    with fails(errno.EINVAL):
        queue_of(namespace, 5, 1)


@rule("mq_overview.12")
def test_no_queue_has_more_than_65536_messages(peer):
    with fails(errno.EINVAL):
        queue_of(peer, 65537, 1)


@rule("mq_overview.13")
def test_msgsize_max_is_the_ceiling_of_a_message(unprivileged):
    unprivileged.do("drop_capabilities()")
    ceiling = sysctl("msgsize_max")
    with fails(errno.EINVAL):
        queue_of(unprivileged, 1, ceiling + 1)
    wait_until(lambda: fits(unprivileged, 1, min(ceiling, 8192)))


@rule("mq_overview.14")
def test_no_message_has_more_than_16_mib(peer):
    with fails(errno.EINVAL):
        queue_of(peer, 1, 16 * 2**20 + 1)


@rule("mq_overview.15")
def test_cap_sys_resource_lifts_the_ceilings(cap_sys_resource, peer):
    with open("/proc/sys/fs/mqueue/msg_max") as file:
        over = int(file.read()) + 1
    queue_of(peer, over, 1)
    peer.do("drop_capabilities()")
    with fails(errno.EINVAL):
        queue_of(peer, over, 1)


@rule("mq_overview.16")
def test_queues_max_is_the_ceiling_of_queues(namespace):
    namespace.do("sysctl('queues_max', 3)")
    namespace.do("drop_capabilities()")
    make = f"raw.mq_close(raw.mq_open(f'/q{{n}}', {CREATE}, 0o600, raw.mq_attr(0, 1, 1)))"
    for number in range(3):
        namespace.do(make, n=number)
    with fails(errno.ENOSPC):
        namespace.do(make, n=3)
    namespace.do("raw.mq_unlink('/q1')")
    namespace.do(make, n=3)


@rule("mq_overview.17")
def test_a_lower_queues_max_leaves_the_queues_that_are(namespace):
    make = f"raw.mq_open(f'/q{{n}}', {CREATE}, 0o600, raw.mq_attr(0, 1, 1))"
    for number in range(3):
        namespace.do(make, n=number)
    namespace.do("sysctl('queues_max', 1)")
    namespace.do("drop_capabilities()")
    namespace.do("raw.mq_open('/q2', raw.O_RDWR)")
    namespace.do("raw.mq_unlink('/q1')")
    with fails(errno.ENOSPC):
        namespace.do(make, n=3)


@rule("mq_overview.18")
@pytest.mark.parametrize(("maxmsg", "msgsize"), [(1, 1), (10, 100), (3, 512)])
def test_a_queue_counts_what_getrlimit_says(alone, maxmsg, msgsize):
    """Exactly so many bytes are enough, and one less is not."""
    needed = maxmsg * (48 + msgsize) + maxmsg * 48
    alone.do(f"limit(resource.RLIMIT_MSGQUEUE, {needed - 1})")
    with fails(errno.EMFILE):
        queue_of(alone, maxmsg, msgsize)
    alone.do(f"limit(resource.RLIMIT_MSGQUEUE, {needed})")
    wait_until(lambda: fits(alone, maxmsg, msgsize))


def fits(peer, maxmsg, msgsize):
    """Return whether a queue can be made. Where the user is not alone, others' queues may count too, for a while."""
    try:
        queue_of(peer, maxmsg, msgsize)
    except OSError as error:
        assert error.errno == errno.EMFILE
        return False
    return True


@rule("mq_overview.33")
def test_more_messages_than_priorities_have_no_more_nodes(namespace):
    """A queue keeps a node for each priority that is in it, of which there are 32,768."""
    needed = 40000 * (48 + 1) + 32768 * 48
    namespace.do("sysctl('msg_max', 40000)")
    if not namespace.do(f"may_raise(resource.RLIMIT_MSGQUEUE, {needed})"):
        pytest.skip(f"RLIMIT_MSGQUEUE may not be raised to {needed:,} here")
    namespace.do(f"limit(resource.RLIMIT_MSGQUEUE, {needed - 1})")
    with fails(errno.EMFILE):
        queue_of(namespace, 40000, 1)
    namespace.do(f"limit(resource.RLIMIT_MSGQUEUE, {needed})")
    wait_until(lambda: fits(namespace, 40000, 1))


@rule("mq_overview.19")
def test_spent_bytes_are_emfile_and_come_back(alone):
    """When the name is gone and the last descriptor closed."""
    each = 4 * (48 + 32) + 4 * 48
    alone.do(f"limit(resource.RLIMIT_MSGQUEUE, {2 * each - 1})")
    wait_until(lambda: fits(alone, 4, 32))
    with fails(errno.EMFILE):
        queue_of(alone, 4, 32)
    alone.do("raw.mq_close(mqd)")
    wait_until(lambda: fits(alone, 4, 32))


@rule("mq_overview.20")
def test_bytes_are_counted_over_all_processes_of_a_user(alone):
    each = 4 * (48 + 32) + 4 * 48
    alone.do(f"limit(resource.RLIMIT_MSGQUEUE, {2 * each - 1})")
    wait_until(lambda: fits(alone, 4, 32))
    alone.do(
        f"""def in_a_child():
    try:
        raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 4, 32))
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)
"""
    )
    status = alone.do("(lambda pid: os.waitpid(pid, 0)[1] if pid else in_a_child())(os.fork())")
    assert os.WEXITSTATUS(status) == errno.EMFILE


@rule("mq_overview.21")
def test_the_byte_limit_binds_root_too(peer):
    peer.do("limit(resource.RLIMIT_MSGQUEUE, 96)")
    with fails(errno.EMFILE):
        queue_of(peer, 1, 1)


@rule("mq_overview.22")
def test_the_file_system_shows_the_queues(shown):
    listed = "name[1:] in os.listdir(root)"
    assert not shown.do(listed)
    shown.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 4, 32))")
    assert shown.do(listed)
    shown.do("raw.mq_unlink(name)")
    assert not shown.do(listed)


@rule("mq_overview.23")
def test_a_queues_file_tells_its_bytes(shown):
    shown.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 4, 32))")
    assert fields_of(shown) == {"QSIZE": 0, "NOTIFY": 0, "SIGNO": 0, "NOTIFY_PID": 0}
    shown.do("raw.mq_send(mqd, b'hello', 0)")
    shown.do("raw.mq_send(mqd, b'you', 1)")
    assert fields_of(shown)["QSIZE"] == 8
    shown.do("raw.mq_receive(mqd, 32)")
    assert fields_of(shown)["QSIZE"] == 5


@rule("mq_overview.24")
def test_a_queues_file_tells_who_has_the_request(shown):
    shown.do(f"mqd = raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 4, 32))")
    for kind, number in ((raw.SIGEV_NONE, 0), (raw.SIGEV_SIGNAL, 10)):
        shown.do(f"raw.mq_notify(mqd, raw.sigevent({kind}, {number}))")
        # A close of the file by its owner would end the request: another process reads it.
        fields = fields_of(shown)
        assert (fields["NOTIFY"], fields["SIGNO"]) == (kind, number)
        assert fields["NOTIFY_PID"] == shown.pid
        shown.do("raw.mq_notify(mqd, None)")


def fields_of(shown):
    text = shown.do("subprocess.run(['cat', path], stdout=subprocess.PIPE).stdout.decode()")
    return {key: int(value) for key, value in (field.split(":") for field in text.split())}


@rule("mq_overview.25")
def test_removing_the_file_removes_the_queue(shown):
    shown.do(f"raw.mq_close(raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 4, 32)))")
    shown.do("os.unlink(path)")
    with fails(errno.ENOENT):
        shown.do("raw.mq_open(name, raw.O_RDWR)")


@rule("mq_overview.26")
def test_making_a_file_makes_a_queue_of_the_default_capacity(shown):
    shown.do("os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))")
    attr = shown.do("repr(raw.mq_getattr(raw.mq_open(name, raw.O_RDWR)))")
    ceilings = [min(sysctl(f"{limit}_default"), sysctl(f"{limit}_max")) for limit in ("msg", "msgsize")]
    assert attr == capacity(*ceilings)


@rule("mq_overview.27")
def test_the_queues_folder_is_sticky_and_open_to_all(shown):
    assert shown.do("oct(stat.S_IMODE(os.stat(root).st_mode))") == "0o1777"


@rule("mq_overview.28")
def test_the_files_mode_and_owner_are_the_queues(shown):
    shown.do("os.umask(0)")
    shown.do(f"mqd = raw.mq_open(name, {CREATE}, 0o640, raw.mq_attr(0, 4, 32))")
    assert shown.do("oct(stat.S_IMODE(os.stat(path).st_mode))") == "0o640"
    assert shown.do("os.stat(path).st_uid == os.geteuid()")
    shown.do("os.chmod(path, 0o400)")
    shown.do("drop_capabilities()")
    shown.do("raw.mq_open(name, raw.O_RDONLY)")
    with fails(errno.EACCES):
        shown.do("raw.mq_open(name, raw.O_WRONLY)")


@rule("mq_overview.29")
def test_the_sysctls_have_a_range(namespace):
    for name, low, high in (
        ("msg_max", 1, 65536),
        ("msg_default", 1, 65536),
        ("msgsize_max", 128, 16 * 2**20),
        ("msgsize_default", 128, 16 * 2**20),
    ):
        for value in (low, high):
            namespace.do(f"sysctl('{name}', {value})")
        for value in (low - 1, high + 1):
            with fails(errno.EINVAL):
                namespace.do(f"sysctl('{name}', {value})")


@rule("mq_overview.30")
def test_a_new_namespace_has_the_kernels_own_limits(namespace_prefix, start_peer):
    peer = start_peer(namespace_prefix)
    found = [
        peer.do(f"int(open('/proc/sys/fs/mqueue/{name}').read())")
        for name in ("msg_max", "msg_default", "msgsize_max", "msgsize_default", "queues_max")
    ]
    assert found == [10, 10, 8192, 8192, 256]


@rule("mq_overview.31")
def test_a_namespaces_queues_are_gone_with_it(namespace_prefix, start_peer, name):
    first = start_peer(namespace_prefix)
    first.do(f"raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 1))")
    first.exit()
    with fails(errno.ENOENT):
        raw.mq_open(name, raw.O_RDWR)


@rule("mq_overview.32")
def test_copies_of_a_descriptor_are_the_same_queue(mqd):
    copy = os.dup(mqd)
    try:
        fill(copy)
        assert count(mqd) == 4
    finally:
        raw.mq_close(copy)
    assert raw.mq_receive(mqd, 32) == (b"filler 0", 0)
