#include "notify.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* SIGEV_THREAD requests of the raw call: ticket -> (mqd, function, value). The C library gets the
 * ticket only, so a notification that comes late finds nothing instead of memory that is gone. */
static PyObject *callables;

void set_callable(PyObject **field, PyObject *function)
{
    PyObject *old = *field;

    if (function == Py_None)
        function = NULL;
    Py_XINCREF(function);
    *field = function;
    Py_XDECREF(old);
}

struct notice *make_notice(int notify, int signo, int value, PyObject *function)
{
    struct notice *notice = calloc(1, sizeof *notice);

    if (notice != NULL) {
        notice->notify = notify;
        notice->signo = signo;
        notice->value = value;
        set_callable(&notice->function, function);
    }
    return notice;
}

void drop_notice(struct notice *notice)
{
    if (notice == NULL)
        return;
    Py_XDECREF(notice->function);
    free(notice);
}

/* Take out what is kept under a ticket. A new reference, or NULL without an error. */
static PyObject *take_callable(PyObject *ticket)
{
    PyObject *entry =
        callables == NULL ? NULL : PyObject_CallMethod(callables, "pop", "OO", ticket, Py_None);

    if (entry == NULL)
        PyErr_Clear();
    if (entry == Py_None)
        Py_CLEAR(entry);
    return entry;
}

/* Drop every callable of a descriptor but the one of the ticket to keep. */
static void forget_callables(mqd_t mqdes, unsigned long keep)
{
    PyObject *tickets = callables == NULL ? NULL : PyDict_Keys(callables);
    Py_ssize_t i;

    for (i = 0; tickets != NULL && i < PyList_GET_SIZE(tickets); i++) {
        PyObject *ticket = PyList_GET_ITEM(tickets, i);
        PyObject *entry = PyDict_GetItemWithError(callables, ticket);

        if (entry != NULL && PyLong_AsLong(PyTuple_GET_ITEM(entry, 0)) == (long)mqdes &&
            PyLong_AsUnsignedLong(ticket) != keep)
            Py_XDECREF(take_callable(ticket));
    }
    Py_XDECREF(tickets);
    PyErr_Clear();
}

/* Runs in a thread that the C library started. */
static void deliver(union sigval value)
{
    PyObject *ticket, *entry = NULL, *answer;
    PyGILState_STATE state;

    if (!Py_IsInitialized())
        return;
    state = PyGILState_Ensure();
    ticket = PyLong_FromUnsignedLong((unsigned long)(uintptr_t)value.sival_ptr);
    if (ticket != NULL)
        entry = take_callable(ticket);
    Py_XDECREF(ticket);
    if (entry != NULL) {
        PyObject *function = PyTuple_GET_ITEM(entry, 1);

        answer = PyObject_CallFunctionObjArgs(function, PyTuple_GET_ITEM(entry, 2), NULL);
        if (answer == NULL)
            PyErr_WriteUnraisable(function);
        Py_XDECREF(answer);
        Py_DECREF(entry);
    }
    PyGILState_Release(state);
}

/* Keep a callable under a new ticket; 0 with an error set when that fails. */
static unsigned long keep_callable(mqd_t mqdes, const struct notice *notice)
{
    static unsigned long last;
    unsigned long ticket = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    PyObject *key = PyLong_FromUnsignedLong(ticket);
    PyObject *entry = Py_BuildValue("(iOi)", (int)mqdes, notice->function, notice->value);

    if (callables == NULL)
        callables = PyDict_New();
    if (key == NULL || entry == NULL || callables == NULL ||
        PyDict_SetItem(callables, key, entry) < 0)
        ticket = 0;
    Py_XDECREF(key);
    Py_XDECREF(entry);
    return ticket;
}

int request_notice(mqd_t mqdes, const struct notice *notice)
{
    struct sigevent event;
    unsigned long ticket = 0;
    PyGILState_STATE state;
    int rc, error;

    memset(&event, 0, sizeof event);
    if (notice != NULL) {
        event.sigev_notify = notice->notify;
        event.sigev_signo = notice->signo;
        event.sigev_value.sival_int = notice->value;
    }
    if (notice != NULL && notice->notify == SIGEV_THREAD) {
        if (notice->function == NULL) {
            errno = EINVAL;
            return -1;
        }
        state = PyGILState_Ensure();
        ticket = keep_callable(mqdes, notice);
        PyErr_Clear();
        PyGILState_Release(state);
        if (ticket == 0) {
            errno = ENOMEM;
            return -1;
        }
        event.sigev_value.sival_ptr = (void *)(uintptr_t)ticket;
        event.sigev_notify_function = deliver;
    }
    rc = mq_notify(mqdes, notice == NULL ? NULL : &event);
    error = errno;
    if (callables != NULL) {
        state = PyGILState_Ensure();
        if (rc == 0) {
            forget_callables(mqdes, ticket);
        } else if (ticket != 0) {
            PyObject *key = PyLong_FromUnsignedLong(ticket);

            if (key != NULL)
                Py_XDECREF(take_callable(key));
            Py_XDECREF(key);
            PyErr_Clear();
        }
        PyGILState_Release(state);
    }
    errno = error;
    return rc;
}

int close_and_forget(mqd_t mqdes)
{
    if (callables != NULL) {
        PyGILState_STATE state = PyGILState_Ensure();
        forget_callables(mqdes, 0);
        PyGILState_Release(state);
    }
    return mq_close(mqdes);
}

int open_notice_socket(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int request_ticket(mqd_t mqdes, int kind, int number, unsigned long long ticket)
{
    unsigned char cookie[32] = {0};
    struct sigevent event;

    memcpy(cookie, &ticket, sizeof ticket);
    memset(&event, 0, sizeof event);
    event.sigev_notify = kind;
    event.sigev_signo = number;
    event.sigev_value.sival_ptr = kind == SIGEV_THREAD ? cookie : NULL;
    /* Not the C library's function: it would make its own socket and thread. */
    return (int)syscall(SYS_mq_notify, mqdes, &event);
}
