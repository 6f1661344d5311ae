/* What help() says of the raw functions and structs. The first line is the signature that inspect reads. */

%feature("docstring") mq_open "mq_open(name, oflag, mode=0, attr=None)
--

Open a message queue; return its descriptor, an int.

name: str or bytes. oflag: O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_EXCL, O_NONBLOCK.
mode, attr: permission bits and mq_attr (mq_maxmsg, mq_msgsize) of a queue that O_CREAT makes; None: the system's defaults.

Raises OSError: EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENFILE, ENOENT, ENOSPC. POSIX.1-2017, mq_open().";

%feature("docstring") close_and_forget "mq_close(mqdes)
--

Close a descriptor, and end the notification request that was made through it.

Raises OSError: EBADF. POSIX.1-2017, mq_close().";

%feature("docstring") mq_unlink "mq_unlink(name)
--

Remove a queue's name; the queue goes when its last descriptor is closed.

Raises OSError: EACCES, ENAMETOOLONG, ENOENT. POSIX.1-2017, mq_unlink().";

%feature("docstring") mq_send "mq_send(mqdes, msg_ptr, msg_prio)
--

Send a message; wait while the queue is full, unless it is O_NONBLOCK.

msg_ptr: any contiguous buffer, not copied. msg_prio: 0 to MQ_PRIO_MAX - 1.

Raises OSError: EAGAIN, EBADF, EINTR, EINVAL, EMSGSIZE. POSIX.1-2017, mq_send().";

%feature("docstring") mq_timedsend "mq_timedsend(mqdes, msg_ptr, msg_prio, abs_timeout)
--

Like mq_send(), until the wall clock (CLOCK_REALTIME) reaches abs_timeout, a timespec.

Raises OSError as mq_send() does, and ETIMEDOUT. POSIX.1-2017, mq_timedsend().";

%feature("docstring") mq_receive "mq_receive(mqdes, size)
--

Receive the oldest message of the highest priority; return (bytes, priority). Wait while the queue is empty, unless it is
O_NONBLOCK.

size: the room for the message in bytes, at least the queue's mq_msgsize.

Raises OSError: EAGAIN, EBADF, EINTR, EMSGSIZE. POSIX.1-2017, mq_receive().";

%feature("docstring") mq_timedreceive "mq_timedreceive(mqdes, size, abs_timeout)
--

Like mq_receive(), until the wall clock (CLOCK_REALTIME) reaches abs_timeout, a timespec.

Raises OSError as mq_receive() does, and EINVAL, ETIMEDOUT. POSIX.1-2017, mq_timedreceive().";

%feature("docstring") request_notice "mq_notify(mqdes, notification)
--

Ask to be told once when the queue goes from empty to not empty.

notification: a sigevent; None cancels this process's request. SIGEV_THREAD calls sigev_notify_function(sigev_value) in a thread
that the C library starts.

Raises OSError: EBADF, EBUSY, EINVAL. POSIX.1-2017, mq_notify().";

%feature("docstring") mq_getattr "mq_getattr(mqdes)
--

Return the queue's mq_attr: flags (O_NONBLOCK or 0), capacity, and how many messages it holds now.

Raises OSError: EBADF. POSIX.1-2017, mq_getattr().";

%feature("docstring") mq_setattr "mq_setattr(mqdes, newattr)
--

Set the descriptor's flags: of newattr, an mq_attr, only O_NONBLOCK in mq_flags counts. Return the mq_attr before.

Raises OSError: EBADF, EINVAL. POSIX.1-2017, mq_setattr().";

%feature("docstring") open_notice_socket "open_notice_socket()
--

Return a new socket, not blocking, that the kernel can send notifications to.";

%feature("docstring") getrlimit "getrlimit(resource)
--

Return (soft, hard) of RLIMIT_MSGQUEUE (bytes) or RLIMIT_NOFILE (descriptors); -1 is no limit. getrlimit(2).";

%feature("docstring") queues_supported "queues_supported()
--

Return whether the running kernel has message queues.";

%feature("docstring") mq_attr "A queue's attributes: flags (O_NONBLOCK or 0), capacity in messages and in bytes a message, messages held now.";
%feature("docstring") timespec "A time: seconds and nanoseconds (0 to 999,999,999) since the epoch, on the wall clock.";
%feature("docstring") notice "How to be notified: SIGEV_NONE, SIGEV_SIGNAL (by sigev_signo) or SIGEV_THREAD (by sigev_notify_function(sigev_value)).";

/* SWIG begins a docstring of several lines with an empty one, and then inspect does not find the signature. */
%init %{
    for (PyMethodDef *method = SwigMethods; method->ml_name != NULL; method++)
        if (method->ml_doc != NULL && *method->ml_doc == '\n')
            method->ml_doc++;
%}
