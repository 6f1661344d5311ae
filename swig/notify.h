/* mq_notify(3): the raw call with a Python callable, and the kernel's socket interface under it. */
#ifndef POSIX_IPC_SWIG_NOTIFY_H
#define POSIX_IPC_SWIG_NOTIFY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <mqueue.h>

/* struct sigevent as Python sees it: C's own has no room for a callable. (Its field names are
 * macros in some C libraries.) */
struct notice {
    int notify;
    int signo;
    int value;
    PyObject *function;
};

struct notice *make_notice(int notify, int signo, int value, PyObject *function);
void drop_notice(struct notice *notice);

/* Keep a callable in a field; None empties it. */
void set_callable(PyObject **field, PyObject *function);

/* The notice's callable, or None: a new reference. */
PyObject *notice_callable(const struct notice *notice);

/* Before any of the rest. 0, or -1 with an error set. */
int prepare_notices(void);

/* mq_notify(3) through the C library; NULL cancels. Called without the interpreter lock. 0, or -1
 * with errno set. */
int request_notice(mqd_t mqdes, const struct notice *notice);

/* mq_close(3), which ends the descriptor's request too: forget its callable. Called without the
 * interpreter lock. */
int close_and_forget(mqd_t mqdes);

/* The interface that C libraries build SIGEV_THREAD from (Linux, ipc/mqueue.c): a netlink socket
 * receives 32 bytes for each request when it ends. The first eight are the ticket, the last one
 * says how: 1 woken up, 2 removed. */
int open_notice_socket(void);

/* A counter that wakes a thread in poll(2): eventfd(2). */
int open_wake_counter(void);

/* mq_notify(2), the system call. kind: SIGEV_SIGNAL (number: the signal) or SIGEV_THREAD (number:
 * that socket). */
int request_ticket(mqd_t mqdes, int kind, int number, unsigned long long ticket);

#endif
