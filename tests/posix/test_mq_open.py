"""mq_open(): POSIX.1-2017, System Interfaces."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest
from posix_support import ATTR, CREATE, GLIBC, Call, count, drain, fails, fill

from posix_ipc_swig import raw

rule = pytest.mark.rule


@rule("mq_open.1", "mq_open.20")
def test_a_descriptor_refers_to_the_queue(name):
    mqd = raw.mq_open(name, CREATE, 0o600, ATTR)
    try:
        assert type(mqd) is int
        assert mqd >= 0
        raw.mq_send(mqd, b"hello", 3)
        assert raw.mq_getattr(mqd).mq_curmsgs == 1
        assert raw.mq_receive(mqd, 32) == (b"hello", 3)
    finally:
        raw.mq_close(mqd)


@rule("mq_open.2")
def test_a_name_with_a_slash_means_the_same_queue_in_every_process(mqd, peer):
    peer.do("raw.mq_send(raw.mq_open(name, raw.O_WRONLY), b'hello', 1)")
    assert raw.mq_receive(mqd, 32) == (b"hello", 1)


@rule("mq_open.3", "mq_open.29")
def test_a_queue_that_does_not_exist_is_not_opened(name):
    for oflag in (raw.O_RDONLY, raw.O_WRONLY, raw.O_RDWR):
        with fails(errno.ENOENT):
            raw.mq_open(name, oflag, 0o600, ATTR)


@rule("mq_open.4")
def test_as_many_queues_as_files_can_be_open(mqd, peer):
    peer.do("limit(resource.RLIMIT_NOFILE, 64)")
    peer.do("opened = []")
    with fails(errno.EMFILE):
        peer.do("while True: opened.append(raw.mq_open(name, raw.O_RDONLY))")
    files = peer.do("sum(1 for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}'))")
    queues = peer.do("len(opened)")
    assert files == 64
    assert queues >= 50


@rule("mq_open.5")
def test_access_is_that_of_a_file_with_the_same_permissions(unprivileged, name):
    unprivileged.do("os.umask(0)")
    for mode, allowed in ((0o400, ["O_RDONLY"]), (0o200, ["O_WRONLY"]), (0o600, ["O_RDONLY", "O_WRONLY", "O_RDWR"])):
        unprivileged.do(f"raw.mq_close(raw.mq_open(name, {CREATE}, {mode}))")
        for oflag in ("O_RDONLY", "O_WRONLY", "O_RDWR"):
            attempt = f"raw.mq_close(raw.mq_open(name, raw.{oflag}))"
            if oflag in allowed:
                unprivileged.do(attempt)
            else:
                with fails(errno.EACCES):
                    unprivileged.do(attempt)
        unprivileged.do("raw.mq_unlink(name)")


@rule("mq_open.6")
def test_there_is_exactly_one_access_mode(mqd, name):
    for oflag in (raw.O_RDONLY, raw.O_WRONLY, raw.O_RDWR):
        for also in (0, raw.O_CREAT, raw.O_NONBLOCK, raw.O_CREAT | raw.O_NONBLOCK):
            raw.mq_close(raw.mq_open(name, oflag | also, 0o600, ATTR))
    with fails(errno.EINVAL):
        raw.mq_open(name, raw.O_WRONLY | raw.O_RDWR)


@rule("mq_open.7")
def test_o_rdonly_receives_and_does_not_send(mqd, open_queue):
    reader = open_queue(raw.O_RDONLY)
    raw.mq_send(mqd, b"hello", 0)
    with fails(errno.EBADF):
        raw.mq_send(reader, b"hello", 0)
    assert raw.mq_receive(reader, 32) == (b"hello", 0)


@rule("mq_open.8")
def test_o_wronly_sends_and_does_not_receive(mqd, open_queue):
    writer = open_queue(raw.O_WRONLY)
    raw.mq_send(writer, b"hello", 0)
    with fails(errno.EBADF):
        raw.mq_receive(writer, 32)
    assert raw.mq_receive(mqd, 32) == (b"hello", 0)


@rule("mq_open.9")
def test_o_rdwr_sends_and_receives(mqd):
    raw.mq_send(mqd, b"hello", 0)
    assert raw.mq_receive(mqd, 32) == (b"hello", 0)


@rule("mq_open.10")
def test_o_creat_makes_an_empty_queue(name):
    with fails(errno.ENOENT):
        raw.mq_open(name, raw.O_RDONLY)
    mqd = raw.mq_open(name, raw.O_RDWR | raw.O_CREAT, 0o600, ATTR)
    assert count(mqd) == 0
    raw.mq_close(mqd)
    raw.mq_close(raw.mq_open(name, raw.O_RDONLY))


@rule("mq_open.11")
def test_o_creat_leaves_an_existing_queue_alone(mqd, open_queue):
    raw.mq_send(mqd, b"hello", 0)
    before = os.fstat(mqd)
    other = open_queue(raw.O_RDWR | raw.O_CREAT, mode=0o666, attr=raw.mq_attr(mq_maxmsg=1, mq_msgsize=1))
    after = os.fstat(other)
    assert raw.mq_getattr(other) == raw.mq_attr(0, ATTR.mq_maxmsg, ATTR.mq_msgsize, 1)
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)


@rule("mq_open.12")
def test_no_attributes_are_the_systems_defaults(open_queue):
    attr = raw.mq_getattr(open_queue(attr=None))
    defaults = []
    for name in ("msg", "msgsize"):
        with open(f"/proc/sys/fs/mqueue/{name}_default") as default, open(f"/proc/sys/fs/mqueue/{name}_max") as most:
            defaults.append(min(int(default.read()), int(most.read())))
    assert [attr.mq_maxmsg, attr.mq_msgsize] == defaults


@rule("mq_open.13")
def test_attributes_set_the_capacity(open_queue):
    attr = raw.mq_getattr(open_queue(attr=raw.mq_attr(mq_maxmsg=3, mq_msgsize=17)))
    assert (attr.mq_maxmsg, attr.mq_msgsize) == (3, 17)


@rule("mq_open.14")
def test_attributes_that_are_not_allowed_make_no_queue(unprivileged):
    with open("/proc/sys/fs/mqueue/msg_max") as file:
        too_many = int(file.read()) + 1
    # A user may be another now and have CAP_SYS_RESOURCE no more.
    unprivileged.do("drop_capabilities()")
    with fails(errno.EINVAL):
        unprivileged.do(f"raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, too_many, 1))", too_many=too_many)
    with fails(errno.ENOENT):
        unprivileged.do("raw.mq_open(name, raw.O_RDONLY)")


@rule("mq_open.15", "mq_open.23")
def test_o_excl_refuses_an_existing_queue(mqd, name):
    with fails(errno.EEXIST):
        raw.mq_open(name, CREATE, 0o600, ATTR)
    assert count(mqd) == 0


@rule("mq_open.16")
def test_one_of_many_makes_the_queue(name, start_peer):
    """Threads and processes that start at once, over and over: exactly one finds no queue."""
    barrier = threading.Barrier(4)

    def attempt():
        barrier.wait()
        try:
            return raw.mq_open(name, CREATE, 0o600, ATTR)
        except FileExistsError:
            return None

    for _ in range(100):
        made = [mqd for mqd in [call.result() for call in [Call(attempt) for _ in range(4)]] if mqd is not None]
        assert len(made) == 1
        raw.mq_close(made[0])
        raw.mq_unlink(name)
    peers = [start_peer(), start_peer()]
    for _ in range(50):
        for peer in peers:
            peer.start(f"raw.mq_close(raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 1)))")
        refused = 0
        for peer in peers:
            try:
                peer.result()
            except FileExistsError:
                refused += 1
        assert refused == 1
        raw.mq_unlink(name)


@rule("mq_open.17")
def test_o_excl_alone_changes_nothing_on_linux(mqd, name):
    raw.mq_close(raw.mq_open(name, raw.O_RDWR | raw.O_EXCL))
    raw.mq_unlink(name)
    with fails(errno.ENOENT):
        raw.mq_open(name, raw.O_RDWR | raw.O_EXCL)


@rule("mq_open.18")
def test_o_nonblock_decides_whether_calls_wait(mqd, open_queue):
    hasty = open_queue(raw.O_RDWR | raw.O_NONBLOCK)
    with fails(errno.EAGAIN):
        raw.mq_receive(hasty, 32)
    patient = Call(raw.mq_receive, mqd, 32)
    patient.wait_until_blocked()
    raw.mq_send(hasty, b"hello", 0)
    assert patient.result() == (b"hello", 0)
    fill(mqd)
    with fails(errno.EAGAIN):
        raw.mq_send(hasty, b"hello", 0)
    patient = Call(raw.mq_send, mqd, b"hello", 0)
    patient.wait_until_blocked()
    raw.mq_receive(hasty, 32)
    patient.result()


@rule("mq_open.19")
def test_opening_changes_no_messages(mqd, open_queue):
    raw.mq_send(mqd, b"one", 0)
    raw.mq_send(mqd, b"two", 5)
    for oflag in (raw.O_RDONLY, raw.O_WRONLY, raw.O_RDWR | raw.O_CREAT, raw.O_RDWR | raw.O_NONBLOCK):
        assert count(open_queue(oflag)) == 2
    assert drain(mqd) == [(b"two", 5), (b"one", 0)]


@rule("mq_open.21")
def test_a_failure_is_no_descriptor_but_an_errno(name):
    with pytest.raises(OSError) as caught:
        raw.mq_open(name, raw.O_RDONLY)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == name


@rule("mq_open.22")
def test_what_the_mode_denies_is_eacces(unprivileged):
    for mode, oflags in (
        (0, ("O_RDONLY", "O_WRONLY", "O_RDWR")),
        (0o400, ("O_WRONLY", "O_RDWR")),
        (0o200, ("O_RDONLY", "O_RDWR")),
    ):
        unprivileged.do(f"raw.mq_close(raw.mq_open(name, {CREATE}, {mode}))")
        for oflag in oflags:
            with fails(errno.EACCES):
                unprivileged.do(f"raw.mq_open(name, raw.{oflag})")
        unprivileged.do("raw.mq_unlink(name)")


@rule("mq_open.25", "mq_open.31")
def test_a_name_without_a_slash_is_the_c_librarys_affair(mqd, name):
    if GLIBC:
        with fails(errno.EINVAL):
            raw.mq_open(name[1:], raw.O_RDWR)
        with fails(errno.EINVAL):
            raw.mq_open("", raw.O_RDWR)
    else:
        raw.mq_send(mqd, b"hello", 0)
        other = raw.mq_open(name[1:], raw.O_RDWR)
        assert raw.mq_receive(other, 32) == (b"hello", 0)
        raw.mq_close(other)


@rule("mq_open.26")
def test_no_descriptor_left_is_emfile(mqd, peer):
    peer.do("taken = raw.mq_open(name, raw.O_RDONLY)")
    peer.do("limit(resource.RLIMIT_NOFILE, taken + 1)")
    with fails(errno.EMFILE):
        peer.do("[raw.mq_open(name, raw.O_RDONLY) for _ in range(taken + 1)]")


@rule("mq_open.27")
def test_a_component_over_name_max_is_enametoolong(name, open_queue):
    longest = name.ljust(256, "x")
    try:
        open_queue(name=longest)
    finally:
        raw.mq_unlink(longest)
    for oflag in (CREATE, raw.O_RDONLY):
        with fails(errno.ENAMETOOLONG):
            raw.mq_open(longest + "x", oflag, 0o600, ATTR)


@rule("mq_open.43")
def test_a_name_over_path_max_is_enametoolong(name):
    for oflag in (CREATE, raw.O_RDONLY):
        with fails(errno.ENAMETOOLONG):
            raw.mq_open(name.ljust(5000, "x"), oflag, 0o600, ATTR)


@rule("mq_open.30")
def test_no_room_for_a_queue_is_enospc(namespace):
    namespace.do("sysctl('queues_max', 1)")
    namespace.do("drop_capabilities()")
    namespace.do(f"raw.mq_open('/one', {CREATE}, 0o600, raw.mq_attr(0, 1, 1))")
    with fails(errno.ENOSPC):
        namespace.do(f"raw.mq_open('/two', {CREATE}, 0o600, raw.mq_attr(0, 1, 1))")


@rule("mq_open.32")
def test_a_second_slash_is_eacces_on_linux(mqd, name):
    for bad in (name + "/", name + "/more", "/" + name):
        with fails(errno.EACCES):
            raw.mq_open(bad, CREATE, 0o600, ATTR)


def open_twice_here_and_there(oflag, open_queue, peer):
    """A queue opens for the same access twice in this process, and in another."""
    there = peer.do(f"[raw.mq_open(name, {oflag}), raw.mq_open(name, {oflag})]")
    return open_queue(oflag), open_queue(oflag), there


@rule("mq_open.33")
def test_many_may_open_to_receive(mqd, open_queue, peer):
    first, second, there = open_twice_here_and_there(raw.O_RDONLY, open_queue, peer)
    fill(mqd)
    for reader in (first, second):
        raw.mq_receive(reader, 32)
    peer.do("[raw.mq_receive(mqd, 32) for mqd in there]", there=there)
    assert count(mqd) == 0


@rule("mq_open.34")
def test_many_may_open_to_send(mqd, open_queue, peer):
    first, second, there = open_twice_here_and_there(raw.O_WRONLY, open_queue, peer)
    for writer in (first, second):
        raw.mq_send(writer, b"here", 0)
    peer.do("[raw.mq_send(mqd, b'there', 0) for mqd in there]", there=there)
    assert [message for message, _ in drain(mqd)] == [b"here", b"here", b"there", b"there"]


@rule("mq_open.35")
def test_many_may_open_for_both(mqd, open_queue, peer):
    first, second, there = open_twice_here_and_there(raw.O_RDWR, open_queue, peer)
    for one in (first, second):
        raw.mq_send(one, b"here", 0)
    received = peer.do("[raw.mq_receive(mqd, 32) for mqd in there]", there=there)
    assert received == [(b"here", 0), (b"here", 0)]
    peer.do("[raw.mq_send(mqd, b'there', 0) for mqd in there]")
    assert [raw.mq_receive(one, 32) for one in (first, second)] == [(b"there", 0)] * 2


@rule("mq_open.36")
def test_a_new_queue_belongs_to_the_effective_user_and_group(unprivileged):
    ids = unprivileged.do(
        f"(lambda status: (status.st_uid, status.st_gid))(os.fstat(raw.mq_open(name, {CREATE}, 0o600)))"
    )
    assert ids == unprivileged.do("(os.geteuid(), os.getegid())")


@rule("mq_open.37")
def test_the_mode_is_less_the_umask(peer, make_name):
    for umask, mode, expected in ((0, 0o640, 0o640), (0o077, 0o666, 0o600), (0o022, 0o777, 0o755)):
        peer.do("os.umask(umask)", umask=umask, name=make_name())
        peer.do(f"mqd = raw.mq_open(name, {CREATE}, mode, raw.mq_attr(0, 1, 1))", mode=mode)
        assert stat.S_IMODE(peer.do("os.fstat(mqd).st_mode")) == expected
        peer.do("(raw.mq_close(mqd), raw.mq_unlink(name))")


@rule("mq_open.39")
def test_flags_and_messages_among_the_attributes_are_ignored(open_queue):
    attr = raw.mq_attr(mq_flags=raw.O_NONBLOCK, mq_maxmsg=3, mq_msgsize=17, mq_curmsgs=2)
    assert raw.mq_getattr(open_queue(attr=attr)) == raw.mq_attr(mq_flags=0, mq_maxmsg=3, mq_msgsize=17, mq_curmsgs=0)


@rule("mq_open.40")
def test_a_queue_that_may_not_be_made_is_eacces(mounted):
    """The mode of the queues' folder decides, on Linux: 01777, unless somebody changes it."""
    mounted.do("os.chmod(root, 0o555)")
    mounted.do("drop_capabilities()")
    with fails(errno.EACCES):
        mounted.do(f"raw.mq_open(name, {CREATE}, 0o600, raw.mq_attr(0, 1, 1))")


@rule("mq_open.41")
def test_a_capacity_of_nothing_is_einval(name):
    for maxmsg, msgsize in ((0, 1), (1, 0), (-1, 1), (1, -1), (0, 0)):
        with fails(errno.EINVAL):
            raw.mq_open(name, CREATE, 0o600, raw.mq_attr(mq_maxmsg=maxmsg, mq_msgsize=msgsize))
    with fails(errno.ENOENT):
        raw.mq_open(name, raw.O_RDONLY)


@rule("mq_open.42")
def test_each_open_has_a_description_of_its_own(mqd, open_queue):
    hasty = open_queue(raw.O_RDWR | raw.O_NONBLOCK)
    assert (raw.mq_getattr(mqd).mq_flags, raw.mq_getattr(hasty).mq_flags) == (0, raw.O_NONBLOCK)
    raw.mq_setattr(hasty, raw.mq_attr())
    raw.mq_setattr(mqd, raw.mq_attr(mq_flags=raw.O_NONBLOCK))
    assert (raw.mq_getattr(mqd).mq_flags, raw.mq_getattr(hasty).mq_flags) == (raw.O_NONBLOCK, 0)
