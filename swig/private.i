/* What the Python layer needs beyond the standard's ten functions. */

/* The socket that callbacks are made of, and what wakes the thread of listen() (notify.h). */
%typemap(out) int open_notice_socket, int open_wake_counter {
    if ($1 < 0) {
        raise_errno(NULL);
        SWIG_fail;
    }
    $result = PyLong_FromLong($1);
}
int open_notice_socket(void);
int open_wake_counter(void);

/* False where the kernel was built without message queues. */
%typemap(out) int queues_supported {
    $result = PyBool_FromLong($1);
}
int queues_supported(void);

/* Limits without the resource module: a process that has no descriptor left cannot import it, and must say why. */
%{
#include <sys/resource.h>
%}
%constant int RLIMIT_MSGQUEUE = RLIMIT_MSGQUEUE;
%constant int RLIMIT_NOFILE = RLIMIT_NOFILE;
%typemap(in, numinputs=0) struct rlimit *found (struct rlimit limit) {
    $1 = &limit;
}
%typemap(argout) struct rlimit *found {
    Py_XDECREF($result);
    $result = Py_BuildValue("(LL)", (long long)limit$argnum.rlim_cur, (long long)limit$argnum.rlim_max);
}
status_t getrlimit(int resource, struct rlimit *found);

/* The base of MessageQueue is written in C (queue.c): SWIG's calling convention costs more than the hot path can bear. */
%init %{
    if (prepare_notices() < 0 || add_queue_type(m) < 0)
        return -1;
%}
