#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* SIGEV_THREAD requests of the raw call: ticket -> (queue, function, value). The C library gets the
 * ticket only, so a notification that comes late finds nothing instead of memory that is gone. An
 * entry goes when it is delivered, and when its queue's request is cancelled. A new request leaves
 * it alone: the old one may have been answered, its thread still on the way. */
static PyObject *callables;

/* A reader of the field must have its own reference before a writer drops the old one. */
#ifdef Py_GIL_DISABLED
static PyMutex field_lock;
#define LOCK_FIELD() PyMutex_Lock(&field_lock)
#define UNLOCK_FIELD() PyMutex_Unlock(&field_lock)
#else
#define LOCK_FIELD() ((void)0)
#define UNLOCK_FIELD() ((void)0)
#endif

void set_callable(PyObject **field, PyObject *function)
{
    PyObject *old;

    if (function == Py_None)
        function = NULL;
    Py_XINCREF(function);
    LOCK_FIELD();
    old = *field;
    *field = function;
    UNLOCK_FIELD();
    Py_XDECREF(old);
}

/* A new reference, or NULL without an error. */
static PyObject *get_callable(PyObject *const *field)
{
    PyObject *function;

    LOCK_FIELD();
    function = *field;
    Py_XINCREF(function);
    UNLOCK_FIELD();
    return function;
}

PyObject *notice_callable(const struct notice *notice)
{
    PyObject *function = get_callable(&notice->function);

    if (function == NULL) {
        function = Py_None;
        Py_INCREF(function);
    }
    return function;
}

int prepare_notices(void)
{
    if (callables == NULL)
        callables = PyDict_New();
    return callables == NULL ? -1 : 0;
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

/* What tells a queue from others, whichever descriptor it is known by. A new reference, or NULL
 * without an error. */
static PyObject *queue_identity(mqd_t mqdes)
{
    struct stat status;
    PyObject *identity = NULL;

    if (fstat(mqdes, &status) == 0)
        identity = Py_BuildValue("(KK)", (unsigned long long)status.st_dev,
                                 (unsigned long long)status.st_ino);
    PyErr_Clear();
    return identity;
}

/* Take out what is kept under a ticket. A new reference, or NULL without an error. */
static PyObject *take_callable(PyObject *ticket)
{
    PyObject *entry = PyObject_CallMethod(callables, "pop", "OO", ticket, Py_None);

    if (entry == NULL)
        PyErr_Clear();
    if (entry == Py_None)
        Py_CLEAR(entry);
    return entry;
}

/* Drop every callable of a queue. */
static void forget_callables(PyObject *identity)
{
    PyObject *items = PyDict_Items(callables);
    Py_ssize_t i;

    for (i = 0; items != NULL && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        PyObject *entry = PyTuple_GET_ITEM(item, 1);

        if (PyObject_RichCompareBool(PyTuple_GET_ITEM(entry, 0), identity, Py_EQ) > 0)
            Py_XDECREF(take_callable(PyTuple_GET_ITEM(item, 0)));
    }
    Py_XDECREF(items);
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

/* Keep a callable under a new ticket; 0 without an error when that fails. */
static unsigned long keep_callable(mqd_t mqdes, PyObject *function, int value)
{
    static unsigned long last;
    unsigned long ticket = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    PyObject *key = PyLong_FromUnsignedLong(ticket);
    PyObject *identity = queue_identity(mqdes), *entry = NULL;

    if (identity != NULL)
        entry = Py_BuildValue("(OOi)", identity, function, value);
    if (key == NULL || entry == NULL || PyDict_SetItem(callables, key, entry) < 0)
        ticket = 0;
    PyErr_Clear();
    Py_XDECREF(key);
    Py_XDECREF(identity);
    Py_XDECREF(entry);
    return ticket;
}

/* SIGEV_THREAD: the ticket for the notice's callable, or 0 with errno set. */
static unsigned long make_ticket(mqd_t mqdes, const struct notice *notice)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *function = get_callable(&notice->function);
    unsigned long ticket = 0;
    int error = EINVAL;

    if (function != NULL) {
        ticket = keep_callable(mqdes, function, notice->value);
        error = fcntl(mqdes, F_GETFD) < 0 ? EBADF : ENOMEM;
        Py_DECREF(function);
    }
    PyGILState_Release(state);
    errno = error;
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
        ticket = make_ticket(mqdes, notice);
        if (ticket == 0)
            return -1;
        event.sigev_value.sival_ptr = (void *)(uintptr_t)ticket;
        event.sigev_notify_function = deliver;
    }
    rc = mq_notify(mqdes, notice == NULL ? NULL : &event);
    error = errno;
    if (notice == NULL ? rc == 0 : rc < 0 && ticket != 0) {
        PyObject *key;

        state = PyGILState_Ensure();
        key = notice == NULL ? queue_identity(mqdes) : PyLong_FromUnsignedLong(ticket);
        if (key == NULL)
            PyErr_Clear();
        else if (notice == NULL)
            forget_callables(key);
        else
            Py_XDECREF(take_callable(key));
        Py_XDECREF(key);
        PyGILState_Release(state);
    }
    errno = error;
    return rc;
}

int close_and_forget(mqd_t mqdes)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *identity = NULL;
    int rc, error;

    if (PyDict_Size(callables) > 0)
        identity = queue_identity(mqdes);
    PyGILState_Release(state);
    rc = mq_close(mqdes);
    error = errno;
    if (identity != NULL) {
        state = PyGILState_Ensure();
        if (rc == 0)
            forget_callables(identity);
        Py_DECREF(identity);
        PyGILState_Release(state);
    }
    errno = error;
    return rc;
}

int open_notice_socket(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int open_wake_counter(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
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
