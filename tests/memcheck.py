"""A short run of every call, for valgrind's memcheck: it must find nothing."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading

from posix_ipc_swig import O_CREX, MessageQueue, raw


def main() -> None:
    with MessageQueue(None, O_CREX, max_messages=4, max_message_size=64) as queue:
        name = queue.name
        try:
            for size in (0, 1, 64):
                queue.send(b"x" * size, 1, 5)
                assert len(queue.receive(1)[0]) == size
            assert queue.send_many(["a", bytearray(b"b"), memoryview(b"c")]) == 3
            assert len(queue.receive_many()) == 3
            buffer = bytearray(64)
            queue.send("into")
            queue.receive_into(buffer)
            for bad in (5, "\ud800", b"x" * 65):
                with contextlib.suppress(TypeError, ValueError):
                    queue.send(bad)
            for call in (queue.receive, queue.receive_many):
                with contextlib.suppress(OSError):
                    call(timeout=0.01)
            called = threading.Event()
            queue.request_notification((lambda param: called.set(), None))
            queue.send("x")
            assert called.wait(60)
            queue.receive()
            signal.signal(signal.SIGUSR1, lambda number, frame: called.clear())
            queue.request_notification(signal.SIGUSR1)
            queue.send("x")
            queue.receive()
            heard = threading.Event()
            with queue.listen(lambda message, priority: heard.set()):
                queue.send("x")
                assert heard.wait(60)
            waiting = threading.Thread(target=queue.receive)
            waiting.start()
            child = os.fork()
            if child == 0:
                queue.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            queue.send("x")
            waiting.join()
            pickle.loads(pickle.dumps(queue)).close()
            str(queue), repr(queue)
            mqd = raw.mq_open(name, raw.O_RDWR)
            raw.mq_send(mqd, b"x", 1)
            raw.mq_receive(mqd, 64)
            raw.mq_setattr(mqd, raw.mq_getattr(mqd))
            done = threading.Event()
            raw.mq_notify(mqd, raw.sigevent(raw.SIGEV_THREAD, sigev_notify_function=lambda value: done.set()))
            raw.mq_send(mqd, b"x", 1)
            assert done.wait(60)
            repr(raw.sigevent())
            raw.mq_close(mqd)
        finally:
            queue.unlink()
    print("memcheck: every call made")


if __name__ == "__main__":
    main()
