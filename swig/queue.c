/* The hot path: send and receive on an open queue descriptor.
 *
 * A first attempt cannot wait: mq_timedsend/mq_timedreceive with a deadline of zero, long past,
 * which the kernel answers at once and without a timer. It needs no release of the interpreter
 * lock. Only when it says ETIMEDOUT is there something to wait for, and only then is the lock given
 * away (wait_for).
 *
 * What an error means is said in Python (errors.py); set_errors() tells this file whom to ask.
 */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>
#include <time.h>
#include <unistd.h>

#include "convert.h"
#include "kernel.h"
#include "notify.h"

/* Messages up to this size are received on the stack: nothing to allocate, nothing to share between
 * threads. Up to here that is as fast as the handle's buffer, give or take 3 %; a full message of
 * 16 KiB takes 7 % more time on the stack, one of 32 KiB 10 %, as it is copied once more. */
#define STACK_MESSAGE 8192

/* From this size on the interpreter lock is given away before the kernel copies: the smallest at
 * which that costs a thread that is alone nothing. A send and a receive, lock kept and given away:
 * of 16 KiB 4.8 and 5.2 us, of 32 KiB 8.1 either way. Two threads with a queue each gain at 128 KiB
 * (31.8 and 22.7 us a pair); at 32 KiB some runs found a gain (9.8 and 6.3) and others none. */
#define LOCK_FREE_SIZE 32768

/* What a call that need not wait hardly ever meets stays out of its way, which is one function from
 * the method to the system call. */
#define NOT_INLINE __attribute__((noinline))

/* So many messages of a batch are one go; then others have their turn. */
#define PAUSE 64

/* A wait of more seconds than this is a wait for ever: no clock of ours reaches its end. */
#define FOREVER 1e10

/* A call of await_message(), on the stack of its thread: whom close() wakes. */
typedef struct Watcher {
    int wake;
    struct Watcher *next;
} Watcher;

typedef struct Queue {
    PyObject_HEAD
    mqd_t mqd;
    int users;  /* calls that use mqd now, and CLOSED */
    int opened; /* whether somebody opens it or has opened it */
    char readable;
    char writable;
    long max_messages;
    long max_message_size;
    PyObject *spare; /* bytes: room for a message that the stack does not hold, made when needed */
    int spare_taken;
    int large;      /* whether the last message received was, or the first may be */
    PyObject *name; /* NULL until the handle is opened, which it is once */
    PyObject *mode;
    Watcher *watchers;
    struct Queue *next; /* in `handles` */
    struct Queue *previous;
} Queue;

/* Every handle of this process, for the child of a fork. */
static Queue *handles;

/* A call that runs signal handlers, on the stack of its thread: they may fork, and the call goes on
 * in the child too. */
typedef struct Handling {
    Queue *queue;
    struct Handling *outer;
} Handling;

static _Thread_local Handling *handling;

/* Set by errors.py. */
static PyObject *busy_error;
static PyObject *operation_error;

static PyObject *zero;

/* Parameter names, interned. */
static PyObject *word_message, *word_messages, *word_timeout, *word_priority, *word_limit,
    *word_buffer;

/* --- errors ------------------------------------------------------------------------------- */

/* BusyError is no rare thing to those who poll, so it is made here; errors.operation_error() makes
 * the rest. */
static PyObject *fail(Queue *queue, const char *operation, int error)
{
    PyObject *exception;

    if (error == ETIMEDOUT || error == EAGAIN)
        exception = PyObject_CallFunction(
            busy_error, "isO", error,
            *operation == 's' ? "the queue is full" : "the queue is empty", queue->name);
    else
        exception = PyObject_CallFunction(operation_error, "Osi", queue, operation, error);
    if (exception != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    return NULL;
}

/* --- a descriptor that cannot be recycled under its users --------------------------------- */

/* A call takes the descriptor before it uses it and gives it back after. close() ends the handle at
 * once; the descriptor itself is closed by whoever gives it back last, so that a thread that waits
 * never meets another file under its number. `users` holds the count and, as one bit, that the
 * handle is closed: one word, so that free-threaded builds can change both at once. */
#define CLOSED 0x40000000

#ifdef Py_GIL_DISABLED
static PyMutex lists_lock; /* `handles`, and the watchers of each */
#define LOCK_LISTS() PyMutex_Lock(&lists_lock)
#define UNLOCK_LISTS() PyMutex_Unlock(&lists_lock)
#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#define SWAP(word, old, new)                                                                       \
    __atomic_compare_exchange_n(&(word), &(old), (new), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#else /* the interpreter lock is held wherever these are used */
#define LOCK_LISTS() ((void)0)
#define UNLOCK_LISTS() ((void)0)
#define LOAD(word) (word)
#define STORE(word, value) ((word) = (value))
#define SWAP(word, old, new) ((void)(old), (word) = (new), 1)
#endif

/* 1 when the caller may use queue->mqd until
   give_back(), 0 when the handle is closed. */
INLINE int take(Queue *queue)
{
    int users = LOAD(queue->users);

    do {
        if (users & CLOSED)
            return 0;
    } while (!SWAP(queue->users, users, users + 1));
    return 1;
}

INLINE void give_back(Queue *queue)
{
    int users = LOAD(queue->users);

    while (!SWAP(queue->users, users, users - 1))
        ;
    /* Fails only for what is no descriptor: closed behind our back, and closed is what was asked.
     */
    if (users - 1 == CLOSED)
        kernel_close(queue->mqd);
}

/* The same for the one buffer of a handle: 1 when the caller has it. */
static inline int take_spare(Queue *queue)
{
    int taken = LOAD(queue->spare_taken);

    return !taken && SWAP(queue->spare_taken, taken, 1);
}

static inline void give_spare_back(Queue *queue)
{
    STORE(queue->spare_taken, 0);
}

/* Run the signal handlers that are due, in a call that has taken the queue. 0, or -1 with what one
 * raised. */
static int run_handlers(Queue *queue)
{
    Handling call = {queue, handling};
    int rc;

    handling = &call;
    rc = PyErr_CheckSignals();
    handling = call.outer;
    return rc;
}

/* --- waiting ------------------------------------------------------------------------------ */

/* One message on its way in or out. */
typedef struct {
    Queue *queue;
    int sending;
    char *data;
    size_t size; /* of the message, or of the room for it */
    unsigned int priority;
    int large; /* to be copied without the interpreter lock */
} Transfer;

/* Seconds to wait: none, for ever, or that many. The deadline (monotonic clock, seconds) is set by
 * the first wait, and holds for all waits of a batch. */
typedef struct {
    int forever;
    double seconds;
    double deadline;
} Timeout;

/* No wait at all. */
#define AT_ONCE {0, 0, 0}

/* Send or receive if that can be done at once. The message's size (0 when sending), or -1 with
 * errno: ETIMEDOUT where it would have to wait, EAGAIN where it would but the queue does not block.
 */
INLINE ssize_t attempt(Transfer *transfer)
{
    static const struct timespec past = {0, 0};
    mqd_t mqd = transfer->queue->mqd;

    if (transfer->sending)
        return kernel_send(mqd, transfer->data, transfer->size, transfer->priority, &past);
    return kernel_receive(mqd, transfer->data, transfer->size, &transfer->priority, &past);
}

/* The same with the interpreter lock given away. */
static ssize_t attempt_unlocked(Transfer *transfer)
{
    PyThreadState *state = PyEval_SaveThread();
    ssize_t result = attempt(transfer);

    PyEval_RestoreThread(state); /* keeps errno */
    return result;
}

/* The kernel's own wait, with its order among waiters: mq_send(3) or mq_receive(3). */
static ssize_t attempt_forever(Transfer *transfer)
{
    mqd_t mqd = transfer->queue->mqd;

    if (transfer->sending)
        return kernel_send(mqd, transfer->data, transfer->size, transfer->priority, NULL);
    return kernel_receive(mqd, transfer->data, transfer->size, &transfer->priority, NULL);
}

static double now(void)
{
    struct timespec time;
    int error = errno; /* callers look at it after */

    clock_gettime(CLOCK_MONOTONIC, &time);
    errno = error;
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Wait until the deadline (monotonic clock, seconds) for the queue to be ready, then attempt. Like
 * attempt(): ETIMEDOUT where the deadline passed or another was faster. */
static ssize_t attempt_until(Transfer *transfer, double deadline)
{
    struct pollfd ready = {.fd = transfer->queue->mqd,
                           .events = transfer->sending ? POLLOUT : POLLIN};
    double left = deadline - now();
    struct timespec wait = {0, 0};

    if (left > 0) {
        wait.tv_sec = (time_t)left;
        /* Rounded up: a wait must not end before its time. */
        wait.tv_nsec = (long)((left - floor(left)) * 1e9) + 1;
        if (wait.tv_nsec > 999999999)
            wait.tv_nsec = 999999999;
    }
    if (ppoll(&ready, 1, &wait, NULL) < 0)
        return -1;
    return attempt(transfer);
}

/* Wait for what the first attempt could not do. Like attempt(), with errno 0 where a signal handler
 * raised.
 *
 * Where other threads are in calls on the handle, they have their turn before this one waits: of
 * those that sleep in the kernel each message wakes one, which then sleeps again for the
 * interpreter lock. Of four threads that send to four, the yield makes 0.04 voluntary context
 * switches a message where there were 0.50. */
static ssize_t wait_for(Transfer *transfer, Timeout *timeout)
{
    int others = (LOAD(transfer->queue->users) & ~CLOSED) > 1;
    ssize_t result;

    if (!timeout->forever && timeout->deadline == 0)
        timeout->deadline = now() + timeout->seconds;
    for (;;) {
        PyThreadState *state = PyEval_SaveThread();

        result = -1;
        if (others) {
            sched_yield();
            result = attempt(transfer);
            others = 0;
        }
        if (result < 0)
            result = timeout->forever ? attempt_forever(transfer)
                                      : attempt_until(transfer, timeout->deadline);
        PyEval_RestoreThread(state); /* keeps errno */
        if (result >= 0)
            break;
        if (errno == EINTR) {
            if (run_handlers(transfer->queue) < 0) {
                errno = 0;
                break;
            }
            /* Where signals never cease, each poll is interrupted, also one that may not wait. */
            if (!timeout->forever && now() >= timeout->deadline) {
                result = attempt(transfer);
                if (result < 0 && errno == EINTR)
                    errno = ETIMEDOUT; /* the handlers run as this call returns */
                break;
            }
        } else if (errno != ETIMEDOUT || now() >= timeout->deadline) {
            break;
        }
    }
    return result;
}

/* Go on after an attempt that failed. Like move(). */
static NOT_INLINE ssize_t move_on(Transfer *transfer, Timeout *timeout)
{
    while (errno == EINTR) {
        ssize_t result;

        if (run_handlers(transfer->queue) < 0) {
            errno = 0;
            return -1;
        }
        result = transfer->large ? attempt_unlocked(transfer) : attempt(transfer);
        if (result >= 0)
            return result;
    }
    if (errno == ETIMEDOUT && (timeout->forever || timeout->seconds > 0))
        return wait_for(transfer, timeout);
    return -1;
}

/* Send or receive within the timeout. The message's size (0 when sending), or -1 with errno; errno
 * is 0 where a signal handler raised. The caller has taken the queue. */
INLINE ssize_t move(Transfer *transfer, Timeout *timeout)
{
    ssize_t result = LIKELY(!transfer->large) ? attempt(transfer) : attempt_unlocked(transfer);

    return LIKELY(result >= 0) ? result : move_on(transfer, timeout);
}

/* The same, with an error set for each -1. */
INLINE ssize_t run(Transfer *transfer, Timeout *timeout)
{
    ssize_t result = move(transfer, timeout);

    if (UNLIKELY(result < 0) && errno != 0)
        fail(transfer->queue, transfer->sending ? "send" : "receive", errno);
    return result;
}

/* --- arguments ---------------------------------------------------------------------------- */

/* parse() where there are keywords, or too many arguments, or too few. */
static NOT_INLINE int parse_any(const char *function, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames, PyObject *const *names, int count, int required,
                                PyObject **values)
{
    Py_ssize_t i, j, keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", function,
                     count, nargs);
        return -1;
    }
    for (i = 0; i < nargs; i++)
        values[i] = args[i];
    for (i = 0; i < keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);

        for (j = 0; j < count && name != names[j]; j++)
            ;
        if (j == count) /* not the interned object: compare the text */
            for (j = 0; j < count && PyUnicode_Compare(name, names[j]) != 0; j++)
                ;
        if (j == count) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                         name);
            return -1;
        }
        if (values[j] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function,
                         name);
            return -1;
        }
        values[j] = args[nargs + i];
    }
    for (i = 0; i < required; i++)
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument: '%U'", function,
                         names[i]);
            return -1;
        }
    return 0;
}

/* Put the arguments of a vectorcall where they belong. `names` are the interned names of the
 * `count` parameters, the first `required` of which must be given. 0, or -1 with TypeError. */
INLINE int parse(const char *function, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                 PyObject *const *names, int count, int required, PyObject **values)
{
    Py_ssize_t i;

    if (kwnames != NULL || nargs > count || nargs < required)
        return parse_any(function, args, nargs, kwnames, names, count, required, values);
    for (i = 0; i < nargs; i++)
        values[i] = args[i];
    return 0;
}

/* A number of seconds, not negative. 0, or -1 with an error set. */
static NOT_INLINE int parse_seconds(PyObject *value, Timeout *timeout)
{
    /* Without the float object that PyFloat_AsDouble() would make of an int. */
    timeout->seconds = PyLong_CheckExact(value) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
    if (timeout->seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "timeout must be None or a number of seconds, not %.200s",
                         Py_TYPE(value)->tp_name);
            return -1;
        }
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear(); /* an int beyond all floats: its sign is all that counts */
        if (PyLong_Check(value)) {
            int overflow;

            PyLong_AsLongAndOverflow(value, &overflow);
            timeout->seconds = overflow < 0 ? -1.0 : FOREVER;
        } else {
            timeout->seconds = FOREVER;
        }
    }
    if (!(timeout->seconds >= 0)) { /* NaN too */
        PyErr_Format(PyExc_ValueError,
                     "timeout must be None or a number of seconds that is not negative, not %R",
                     value);
        return -1;
    }
    timeout->forever = timeout->seconds >= FOREVER;
    return 0;
}

/* None or absent: for ever. 0, or -1 with an error set. */
INLINE int parse_timeout(PyObject *value, Timeout *timeout)
{
    if (value != NULL && value != Py_None)
        return parse_seconds(value, timeout);
    timeout->forever = 1;
    return 0;
}

/* 0, or -1 with an error set. */
static NOT_INLINE int parse_number(PyObject *value, unsigned int *priority)
{
    PyObject *index;
    long number;
    int overflow;

    index = PyNumber_Index(value);
    if (index == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "priority must be an int, not %.200s",
                         Py_TYPE(value)->tp_name);
        return -1;
    }
    number = PyLong_AsLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (overflow || number < 0 || number >= PRIORITY_LIMIT) {
        PyErr_Format(PyExc_ValueError, "priority must be 0 to %d (QUEUE_PRIORITY_MAX), not %R",
                     PRIORITY_LIMIT - 1, value);
        return -1;
    }
    *priority = (unsigned int)number;
    return 0;
}

/* Absent: 0. 0, or -1 with an error set. */
INLINE int parse_priority(PyObject *value, unsigned int *priority)
{
    *priority = 0;
    return value == NULL ? 0 : parse_number(value, priority);
}

/* parse_message() of what is not bytes. */
static NOT_INLINE int parse_text_or_buffer(PyObject *message, Transfer *transfer, Py_buffer *view)
{
    if (PyUnicode_Check(message)) {
        Py_ssize_t size;

        transfer->data = (char *)PyUnicode_AsUTF8AndSize(message, &size);
        transfer->size = (size_t)size;
        return transfer->data == NULL ? -1 : 0;
    }
    if (!PyObject_CheckBuffer(message)) {
        PyErr_Format(PyExc_TypeError, "message must be str or a bytes-like object, not %.200s",
                     Py_TYPE(message)->tp_name);
        return -1;
    }
    if (PyObject_GetBuffer(message, view, PyBUF_SIMPLE) < 0)
        return -1;
    transfer->data = view->buf;
    transfer->size = (size_t)view->len;
    return 0;
}

/* The bytes of a message: str as UTF-8, or any contiguous buffer, where they lie. `view` is to be
 * released where it has an object. 0, or -1 with an error set. */
INLINE int parse_message(PyObject *message, Transfer *transfer, Py_buffer *view)
{
    if (!PyBytes_CheckExact(message))
        return parse_text_or_buffer(message, transfer, view);
    transfer->data = PyBytes_AS_STRING(message);
    transfer->size = (size_t)PyBytes_GET_SIZE(message);
    return 0;
}

static NOT_INLINE int too_long(const Queue *queue, size_t size)
{
    PyErr_Format(PyExc_ValueError, "message has %zu bytes, over the queue's max_message_size=%ld",
                 size, queue->max_message_size);
    return 0;
}

/* 1, or 0 with ValueError where a message is too long for the queue. */
INLINE int fitting(const Queue *queue, size_t size)
{
    return LIKELY(size <= (size_t)queue->max_message_size) || too_long(queue, size);
}

/* --- methods ------------------------------------------------------------------------------ */

PyDoc_STRVAR(send_doc, "send($self, /, message, timeout=None, priority=0)\n--\n\n"
                       "Put a message on the queue.\n\n"
                       "message: str (sent as UTF-8) or a contiguous bytes-like object, at most "
                       "max_message_size bytes.\n"
                       "timeout: seconds; None waits as long as it takes, 0 does not wait.\n"
                       "priority: 0, the lowest, to QUEUE_PRIORITY_MAX.\n\n"
                       "Raises BusyError when the queue stayed full, ValueError for a message too "
                       "long or a number out of range,\n"
                       "PermissionsError when the handle may not write, ExistentialError when it "
                       "is closed, TypeError or\n"
                       "BufferError for what is no such message or number.\n"
                       "POSIX.1-2017, mq_send(); a timeout is measured on the monotonic clock.");

static PyObject *queue_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    Queue *queue = (Queue *)self;
    PyObject *const names[] = {word_message, word_timeout, word_priority};
    PyObject *values[3] = {NULL, NULL, NULL};
    Transfer transfer = {.queue = queue, .sending = 1};
    Timeout timeout = AT_ONCE;
    Py_buffer view = {.obj = NULL};
    PyObject *result = NULL;

    if (parse("send", args, nargs, kwnames, names, 3, 1, values) < 0 ||
        parse_timeout(values[1], &timeout) < 0 ||
        parse_priority(values[2], &transfer.priority) < 0 ||
        parse_message(values[0], &transfer, &view) < 0)
        return NULL;
    if (!take(queue)) {
        fail(queue, "send", EBADF);
    } else {
        transfer.large = transfer.size >= LOCK_FREE_SIZE;
        if (fitting(queue, transfer.size) && run(&transfer, &timeout) >= 0)
            result = Py_None;
        give_back(queue);
    }
    if (view.obj != NULL)
        PyBuffer_Release(&view);
    Py_XINCREF(result);
    return result;
}

PyDoc_STRVAR(receive_doc, "receive($self, /, timeout=None)\n--\n\n"
                          "Take the oldest of the messages with the highest priority off the "
                          "queue.\n\n"
                          "timeout: seconds; None waits as long as it takes, 0 does not wait.\n\n"
                          "Returns (message, priority): bytes and int.\n"
                          "Raises BusyError when nothing came, PermissionsError when the handle "
                          "may not read, ExistentialError when it is\n"
                          "closed. MemoryError where none is left for a message that the kernel "
                          "has given already, which is lost;\n"
                          "receive_into() has it in the buffer even then.\n"
                          "POSIX.1-2017, mq_receive(); a timeout is measured on the monotonic "
                          "clock.");

/* A tuple of two, whose references it takes over; NULL where one of them is. */
INLINE PyObject *pair(PyObject *first, PyObject *second)
{
    PyObject *result = PyTuple_New(2);

    if (UNLIKELY(first == NULL || second == NULL || result == NULL)) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        Py_XDECREF(result);
        return NULL;
    }
    PyTuple_SET_ITEM(result, 0, first);
    PyTuple_SET_ITEM(result, 1, second);
    return result;
}

/* The priority of what came, which is 0 more often than not. */
INLINE PyObject *priority_of(const Transfer *transfer)
{
    if (UNLIKELY(transfer->priority != 0))
        return PyLong_FromUnsignedLong(transfer->priority);
    Py_INCREF(zero);
    return zero;
}

/* (message, priority) of what came to the stack. */
INLINE PyObject *received(const Transfer *transfer, ssize_t size)
{
    return pair(PyBytes_FromStringAndSize(transfer->data, size), priority_of(transfer));
}

/* The same of what came into a spare bytes object. One that is more than half full is handed out
 * itself, cut to its size, and *spare is NULL then; of less a copy is made. */
static PyObject *received_in_spare(const Transfer *transfer, ssize_t size, PyObject **spare)
{
    PyObject *message = NULL;

    if (size <= PyBytes_GET_SIZE(*spare) / 2) {
        message = PyBytes_FromStringAndSize(transfer->data, size);
        if (message == NULL)
            PyErr_Clear(); /* nothing received is lost for lack of memory */
    }
    if (message == NULL) {
        message = *spare;
        *spare = NULL;
        if (size < PyBytes_GET_SIZE(message))
            _PyBytes_Resize(&message, size);
    }
    return pair(message, priority_of(transfer));
}

/* Let an exception carry what a batch has done so far, so that it is not lost with the result. */
static void tell_progress(const char *attribute, PyObject *progress)
{
    PyObject *type, *value, *traceback, *name, *others;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    name = PyUnicode_InternFromString(attribute);
    /* Whatever its class makes of attributes, an exception has a dictionary of them. */
    if (progress != NULL && name != NULL && PyObject_GenericSetAttr(value, name, progress) < 0) {
        PyErr_Clear();
        others = PyObject_GenericGetDict(value, NULL);
        if (others != NULL)
            PyDict_SetItem(others, name, progress);
        Py_XDECREF(others);
    }
    PyErr_Clear();
    Py_XDECREF(name);
    PyErr_Restore(type, value, traceback);
}

/* Let others in, in the midst of a long batch: threads, and signal handlers. 0, or -1 with what one
 * raised. */
static NOT_INLINE int pause_batch(Queue *queue)
{
    PyThreadState *state = PyEval_SaveThread();

    PyEval_RestoreThread(state);
    return run_handlers(queue);
}

/* An empty list, with room for some that need no memory later. */
static PyObject *new_batch(Py_ssize_t limit)
{
    PyObject *batch = PyList_New(limit < PAUSE ? limit : PAUSE);

    if (batch != NULL)
        Py_SET_SIZE(batch, 0);
    return batch;
}

/* Append to a batch, which takes the reference over and has room for most. 0, or -1 with an error
 * set. */
INLINE int append(PyObject *batch, PyObject *item)
{
    PyListObject *list = (PyListObject *)batch;
    Py_ssize_t size = PyList_GET_SIZE(batch);
    int rc;

    if (LIKELY(size < list->allocated)) {
        list->ob_item[size] = item;
        Py_SET_SIZE(list, size + 1);
        return 0;
    }
    rc = PyList_Append(batch, item);
    Py_DECREF(item);
    return rc;
}

/* Up to `limit` messages: wait for the first, then take what is there. They come to transfer->data,
 * which is on the stack or in *spare. A list, or NULL with an error. */
static PyObject *receive_batch(Transfer *transfer, Timeout *timeout, PyObject **spare,
                               Py_ssize_t limit)
{
    PyObject *batch = new_batch(limit);
    ssize_t size = -1;

    if (batch != NULL)
        size = run(transfer, timeout);
    while (size >= 0) {
        PyObject *one =
            spare != NULL ? received_in_spare(transfer, size, spare) : received(transfer, size);
        int failed = one == NULL || append(batch, one) < 0;

        if (spare != NULL) {
            transfer->large = size >= LOCK_FREE_SIZE;
            STORE(transfer->queue->large, transfer->large);
        }
        if (failed || PyList_GET_SIZE(batch) == limit ||
            (PyList_GET_SIZE(batch) % PAUSE == 0 && pause_batch(transfer->queue) < 0))
            break;
        if (spare != NULL && *spare == NULL) {
            *spare = PyBytes_FromStringAndSize(NULL, transfer->queue->max_message_size);
            if (*spare == NULL) {
                PyErr_Clear(); /* no room for another is no error either */
                break;
            }
            transfer->data = PyBytes_AS_STRING(*spare);
        }
        /* What ends the batch is no error: the next call will meet it. */
        size = LIKELY(!transfer->large) ? attempt(transfer) : attempt_unlocked(transfer);
    }
    /* A handler that is due would run, and may raise, as soon as this call returns: the batch would
     * be gone. */
    if (!PyErr_Occurred() && run_handlers(transfer->queue) == 0)
        return batch;
    if (batch != NULL && PyList_GET_SIZE(batch) > 0)
        tell_progress("received", batch);
    Py_XDECREF(batch);
    return NULL;
}

/* Receive what the stack does not hold, in the handle's spare bytes object, or in one for this call
 * where another thread has it. */
static NOT_INLINE PyObject *receive_in_spare(Queue *queue, Timeout *timeout, Py_ssize_t limit)
{
    Transfer transfer = {.queue = queue, .size = (size_t)queue->max_message_size};
    int own = take_spare(queue);
    PyObject *spare = NULL, *result = NULL;
    ssize_t size;

    /* What came last foretells what comes. */
    transfer.large = LOAD(queue->large);
    if (own) {
        /* Not the handle's meanwhile: in the child of another thread's fork it may have been handed
         * out. */
        spare = queue->spare;
        queue->spare = NULL;
    }
    if (spare == NULL)
        spare = PyBytes_FromStringAndSize(NULL, queue->max_message_size);
    if (spare != NULL) {
        transfer.data = PyBytes_AS_STRING(spare);
        if (limit > 0) {
            result = receive_batch(&transfer, timeout, &spare, limit);
        } else {
            size = run(&transfer, timeout);
            if (size >= 0) {
                STORE(queue->large, size >= LOCK_FREE_SIZE);
                result = received_in_spare(&transfer, size, &spare);
            }
        }
    }
    if (own) {
        queue->spare = spare;
        give_spare_back(queue);
    } else {
        Py_XDECREF(spare);
    }
    return result;
}

static NOT_INLINE PyObject *receive_batch_on_stack(Queue *queue, Timeout *timeout, Py_ssize_t limit)
{
    char room[STACK_MESSAGE];
    Transfer transfer = {.queue = queue, .data = room, .size = (size_t)queue->max_message_size};

    return receive_batch(&transfer, timeout, NULL, limit);
}

static PyObject *queue_receive(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    Queue *queue = (Queue *)self;
    char room[STACK_MESSAGE];
    Transfer transfer = {.queue = queue, .data = room, .size = (size_t)queue->max_message_size};
    PyObject *values[1] = {NULL}, *result = NULL;
    Timeout timeout = AT_ONCE;
    ssize_t size;

    if (parse("receive", args, nargs, kwnames, &word_timeout, 1, 0, values) < 0 ||
        parse_timeout(values[0], &timeout) < 0)
        return NULL;
    if (!take(queue))
        return fail(queue, "receive", EBADF);
    if (transfer.size <= STACK_MESSAGE) {
        size = run(&transfer, &timeout);
        if (LIKELY(size >= 0))
            result = received(&transfer, size);
    } else {
        result = receive_in_spare(queue, &timeout, 0);
    }
    give_back(queue);
    return result;
}

PyDoc_STRVAR(receive_many_doc, "receive_many($self, /, limit=None, timeout=None)\n--\n\n"
                               "Wait for a message as receive() does, then take what else is there "
                               "without waiting.\n\n"
                               "limit: how many messages at the most, 1 or more; None: as many as "
                               "the queue can hold.\n"
                               "timeout: seconds to wait for the first; None waits as long as it "
                               "takes, 0 does not wait.\n\n"
                               "Returns a list of (message, priority), never empty.\n"
                               "Raises as receive() does. An exception that a signal handler "
                               "raises during the call carries the\n"
                               "messages that had come as its attribute `received`: none is lost. "
                               "A MemoryError carries them too, all\n"
                               "but the one that it left no room for.\n"
                               "POSIX.1-2017, mq_receive().");

static PyObject *queue_receive_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames)
{
    Queue *queue = (Queue *)self;
    PyObject *const names[] = {word_limit, word_timeout};
    PyObject *values[2] = {NULL, NULL};
    PyObject *result;
    Timeout timeout = AT_ONCE;
    Py_ssize_t limit = queue->max_messages;

    if (parse("receive_many", args, nargs, kwnames, names, 2, 0, values) < 0 ||
        parse_timeout(values[1], &timeout) < 0)
        return NULL;
    if (values[0] != NULL && values[0] != Py_None) {
        limit = PyNumber_AsSsize_t(values[0], NULL);
        if (limit == -1 && PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_TypeError))
                PyErr_Format(PyExc_TypeError, "limit must be an int or None, not %.200s",
                             Py_TYPE(values[0])->tp_name);
            return NULL;
        }
        if (limit < 1) {
            PyErr_Format(PyExc_ValueError, "limit must be 1 or more, not %R", values[0]);
            return NULL;
        }
    }
    if (!take(queue))
        return fail(queue, "receive", EBADF);
    if (queue->max_message_size <= STACK_MESSAGE)
        result = receive_batch_on_stack(queue, &timeout, limit);
    else
        result = receive_in_spare(queue, &timeout, limit);
    give_back(queue);
    return result;
}

PyDoc_STRVAR(receive_into_doc, "receive_into($self, /, buffer, timeout=None)\n--\n\n"
                               "Receive as receive() does, straight into a buffer of the "
                               "caller's.\n\n"
                               "buffer: writable and contiguous, with room for max_message_size "
                               "bytes.\n"
                               "timeout: seconds; None waits as long as it takes, 0 does not "
                               "wait.\n\n"
                               "Returns (nbytes, priority): the message is buffer[:nbytes]; the "
                               "rest keeps its contents. Where a\n"
                               "signal handler raises while it waits, nothing was taken.\n"
                               "Raises as receive() does, ValueError for a buffer too small, "
                               "TypeError or BufferError for what is no\n"
                               "such buffer. POSIX.1-2017, mq_receive().");

static PyObject *queue_receive_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames)
{
    Queue *queue = (Queue *)self;
    PyObject *const names[] = {word_buffer, word_timeout};
    PyObject *values[2] = {NULL, NULL};
    Transfer transfer = {.queue = queue, .large = LOAD(queue->large)};
    Timeout timeout = AT_ONCE;
    Py_buffer view;
    ssize_t size = -1;

    if (parse("receive_into", args, nargs, kwnames, names, 2, 1, values) < 0 ||
        parse_timeout(values[1], &timeout) < 0)
        return NULL;
    if (!PyObject_CheckBuffer(values[0]))
        return PyErr_Format(PyExc_TypeError,
                            "buffer must be a writable bytes-like object, not %.200s",
                            Py_TYPE(values[0])->tp_name);
    if (PyObject_GetBuffer(values[0], &view, PyBUF_WRITABLE) < 0)
        return NULL;
    transfer.data = view.buf;
    transfer.size = (size_t)view.len;
    if (!take(queue)) {
        fail(queue, "receive", EBADF);
    } else {
        if (transfer.size < (size_t)queue->max_message_size)
            PyErr_Format(PyExc_ValueError,
                         "buffer has %zd bytes, less than the queue's max_message_size=%ld",
                         view.len, queue->max_message_size);
        else
            size = run(&transfer, &timeout);
        if (size >= 0)
            STORE(queue->large, size >= LOCK_FREE_SIZE);
        give_back(queue);
    }
    PyBuffer_Release(&view);
    return size < 0 ? NULL
                    : pair(PyLong_FromSsize_t(size), PyLong_FromUnsignedLong(transfer.priority));
}

/* A message of a batch, ready to be sent. */
typedef struct {
    Py_buffer view;
    char *data;
    size_t size;
} Parcel;

/* Whether all messages are bytes that fit: then there is nothing to hold on to. */
static int plain(const Queue *queue, PyObject *messages)
{
    Py_ssize_t i;

    for (i = 0; i < PyTuple_GET_SIZE(messages); i++) {
        PyObject *message = PyTuple_GET_ITEM(messages, i);

        if (!PyBytes_CheckExact(message) || PyBytes_GET_SIZE(message) > queue->max_message_size)
            return 0;
    }
    return 1;
}

/* Send in order: the parcels, or the messages themselves where these are plain. How many were sent;
 * less than all with an error set, or where the time was up. */
static Py_ssize_t send_batch(Transfer *transfer, Timeout *timeout, PyObject *messages,
                             const Parcel *parcels)
{
    Py_ssize_t count = PyTuple_GET_SIZE(messages), sent = 0;

    while (sent < count) {
        if (parcels != NULL) {
            transfer->data = parcels[sent].data;
            transfer->size = parcels[sent].size;
        } else {
            transfer->data = PyBytes_AS_STRING(PyTuple_GET_ITEM(messages, sent));
            transfer->size = (size_t)PyBytes_GET_SIZE(PyTuple_GET_ITEM(messages, sent));
        }
        transfer->large = transfer->size >= LOCK_FREE_SIZE;
        if (move(transfer, timeout) < 0) {
            /* The time is up: the count says so, unless it were zero. */
            if (errno != 0 && (sent == 0 || (errno != ETIMEDOUT && errno != EAGAIN)))
                fail(transfer->queue, "send", errno);
            break;
        }
        sent++;
        if (sent % PAUSE == 0 && pause_batch(transfer->queue) < 0)
            break;
    }
    /* A handler that is due would run, and may raise, as soon as this call returns: the count would
     * be gone. */
    if (!PyErr_Occurred())
        run_handlers(transfer->queue);
    return sent;
}

/* The same for messages of any kind. */
static NOT_INLINE Py_ssize_t send_parcels(Transfer *transfer, Timeout *timeout, PyObject *messages)
{
    Py_ssize_t count = PyTuple_GET_SIZE(messages), ready = 0, sent = 0;
    Parcel *parcels = PyMem_New(Parcel, count);

    if (parcels == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    while (ready < count) {
        Parcel *parcel = &parcels[ready];

        parcel->view.obj = NULL;
        if (parse_message(PyTuple_GET_ITEM(messages, ready), transfer, &parcel->view) < 0)
            break;
        ready++; /* its view is to be released */
        parcel->data = transfer->data;
        parcel->size = transfer->size;
        if (!fitting(transfer->queue, parcel->size))
            break;
    }
    if (!PyErr_Occurred())
        sent = send_batch(transfer, timeout, messages, parcels);
    while (ready > 0)
        if (parcels[--ready].view.obj != NULL) {
            PyObject *type, *value, *traceback;

            PyErr_Fetch(&type, &value, &traceback); /* releasing may run Python code */
            PyBuffer_Release(&parcels[ready].view);
            PyErr_Restore(type, value, traceback);
        }
    PyMem_Free(parcels);
    return sent;
}

PyDoc_STRVAR(send_many_doc, "send_many($self, /, messages, timeout=None, priority=0)\n--\n\n"
                            "Send messages in order; return how many were sent.\n\n"
                            "messages: an iterable, read to its end before the first is sent; each "
                            "as for send().\n"
                            "timeout: seconds for the whole batch; None waits as long as it takes, "
                            "0 sends what fits now.\n"
                            "priority: of each, 0 to QUEUE_PRIORITY_MAX.\n\n"
                            "When the time is up, or the queue is full and may not block, the "
                            "count says how many were sent;\n"
                            "BusyError if that is none. A message that is no message (TypeError, "
                            "BufferError), or too long\n"
                            "(ValueError), is found before any is sent. Any\n"
                            "other exception, such as one that a signal handler raised, carries "
                            "the count as its attribute `sent`.\n"
                            "POSIX.1-2017, mq_send().");

static PyObject *queue_send_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames)
{
    Queue *queue = (Queue *)self;
    PyObject *const names[] = {word_messages, word_timeout, word_priority};
    PyObject *values[3] = {NULL, NULL, NULL};
    Transfer transfer = {.queue = queue, .sending = 1};
    Timeout timeout = AT_ONCE;
    PyObject *messages, *result;
    Py_ssize_t sent = 0;

    if (parse("send_many", args, nargs, kwnames, names, 3, 1, values) < 0 ||
        parse_timeout(values[1], &timeout) < 0 || parse_priority(values[2], &transfer.priority) < 0)
        return NULL;
    if (PyUnicode_Check(values[0]) || PyBytes_Check(values[0]))
        return PyErr_Format(PyExc_TypeError,
                            "messages must be an iterable of messages, not one (%.200s)",
                            Py_TYPE(values[0])->tp_name);
    messages = PySequence_Tuple(values[0]); /* a copy: another thread may change the list */
    if (messages != NULL && take(queue)) {
        if (plain(queue, messages))
            sent = send_batch(&transfer, &timeout, messages, NULL);
        else
            sent = send_parcels(&transfer, &timeout, messages);
        give_back(queue);
    } else if (messages != NULL) {
        fail(queue, "send", EBADF);
    }
    Py_XDECREF(messages);
    result = PyLong_FromSsize_t(sent);
    if (PyErr_Occurred()) {
        tell_progress("sent", result);
        Py_CLEAR(result);
    }
    return result;
}

/* mq_getattr(3) on an open handle. 0, or -1 with an error set. */
static int get_attributes(Queue *queue, const char *operation, struct mq_attr *attributes)
{
    int rc = -1, error = EBADF;

    if (take(queue)) {
        rc = kernel_getattr(queue->mqd, attributes);
        error = errno;
        give_back(queue);
    }
    if (rc < 0)
        fail(queue, operation, error);
    return rc;
}

/* Open the queue, once for each handle. path: of the name. 0, or an errno, or -1 with an error set.
 */
static int open_handle(Queue *queue, const char *path, int oflag, mode_t permissions,
                       struct mq_attr *attributes, PyObject *name, PyObject *mode)
{
    mqd_t mqd;
    int error, unopened = 0;

    if (LOAD(queue->opened) || !SWAP(queue->opened, unopened, 1)) {
        PyErr_SetString(PyExc_TypeError, "this handle was opened before; make a new one");
        return -1;
    }
    do {
        PyThreadState *state = PyEval_SaveThread();

        mqd = kernel_open(path, oflag, permissions, attributes->mq_maxmsg == 0 ? NULL : attributes);
        PyEval_RestoreThread(state);
        error = mqd == (mqd_t)-1 ? errno : 0;
    } while (error == EINTR && PyErr_CheckSignals() == 0);
    if (error == 0 && kernel_getattr(mqd, attributes) < 0) {
        error = errno;
        kernel_close(mqd);
    }
    if (error != 0) {
        STORE(queue->opened, 0);
        return error == EINTR ? -1 : error;
    }
    queue->mqd = mqd;
    queue->readable = (oflag & O_ACCMODE) != O_WRONLY;
    queue->writable = (oflag & O_ACCMODE) != O_RDONLY;
    queue->max_messages = attributes->mq_maxmsg;
    queue->max_message_size = attributes->mq_msgsize;
    queue->large = attributes->mq_msgsize >= LOCK_FREE_SIZE; /* until the first tells */
    Py_INCREF(name);
    queue->name = name;
    Py_INCREF(mode);
    queue->mode = mode;
    STORE(queue->users, 0); /* last: from here on others may use it */
    COVER_RETURNS(16);      /* a constructor is called from deep within the interpreter */
    return 0;
}

PyDoc_STRVAR(open_doc, "_open($self, name, oflag, mode, max_messages, max_message_size, /)\n--\n\n"
                       "mq_open(3), once. A capacity of 0 x 0 is the kernel's default. Returns 0, "
                       "or the errno.");

static PyObject *queue_open(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct mq_attr attributes = {0};
    PyObject *path;
    long oflag, mode;
    int error;

    if (nargs != 5 || !PyUnicode_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "_open() takes a name and four numbers");
    oflag = PyLong_AsLong(args[1]);
    mode = PyLong_AsLong(args[2]);
    attributes.mq_maxmsg = PyLong_AsLong(args[3]);
    attributes.mq_msgsize = PyLong_AsLong(args[4]);
    if (PyErr_Occurred() || !name_bytes(args[0], &path))
        return NULL;
    if (*PyBytes_AS_STRING(path) != '/')
        error = EINVAL;
    else
        error = open_handle((Queue *)self, PyBytes_AS_STRING(path), (int)oflag, (mode_t)mode,
                            &attributes, args[0], args[2]);
    Py_DECREF(path);
    return error < 0 ? NULL : PyLong_FromLong(error);
}

PyDoc_STRVAR(open_plain_doc, "_open_plain($self, name, flags, mode, max_messages, "
                             "max_message_size, read, write, "
                             "/)\n--\n\n"
                             "Open a queue that is there for reading and writing. False where the "
                             "constructor's "
                             "arguments ask for anything else, or\n"
                             "need looking at, or the kernel refuses.");

/* The name where it is one beyond doubt: short ASCII, with one slash. Or NULL. */
static const char *plain_name(PyObject *name)
{
    const char *text;
    Py_ssize_t size;

    if (!PyUnicode_CheckExact(name) || !PyUnicode_IS_ASCII(name))
        return NULL;
    text = PyUnicode_AsUTF8AndSize(name, &size); /* which cannot fail for ASCII */
    /* Longer than "/..", at most NAME_MAX. */
    if (size < 4 || size > 255 || *text != '/' || memchr(text + 1, '/', (size_t)size - 1) != NULL ||
        strlen(text) != (size_t)size)
        return NULL;
    return text;
}

static PyObject *queue_open_plain(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct mq_attr attributes = {0};
    const char *path = nargs == 7 ? plain_name(args[0]) : NULL;
    long mode;
    int error;

    if (path == NULL || !PyLong_CheckExact(args[1]) || PyObject_IsTrue(args[1]) != 0 ||
        !PyLong_CheckExact(args[2]) || args[3] != Py_None || args[4] != Py_None ||
        args[5] != Py_True || args[6] != Py_True)
        Py_RETURN_FALSE;
    mode = PyLong_AsLong(args[2]);
    if (mode == -1)
        PyErr_Clear();
    if (mode < 0 || mode > 07777)
        Py_RETURN_FALSE;
    error = open_handle((Queue *)self, path, O_RDWR, (mode_t)mode, &attributes, args[0], args[2]);
    return error < 0 ? NULL : PyBool_FromLong(error == 0);
}

static void wake_up(int wake)
{
    static const uint64_t one = 1;

    /* Fails only for a counter that is at its end, and so readable already. */
    if (write(wake, &one, sizeof one) < 0)
        return;
}

PyDoc_STRVAR(await_doc, "_await_message($self, wake, /)\n--\n\n"
                        "Wait until the queue holds a message: True. Or until wake, a counter of "
                        "open_wake_counter(),\n"
                        "is not zero or close() makes it so: False, and it is zero again. Raises "
                        "ExistentialError when the\n"
                        "handle is closed.");

static PyObject *queue_await_message(PyObject *self, PyObject *argument)
{
    Queue *queue = (Queue *)self;
    Watcher watcher = {.wake = (int)PyLong_AsLong(argument)}, **link;
    struct pollfd ready[2] = {{.events = POLLIN}, {.fd = watcher.wake, .events = POLLIN}};
    uint64_t count;
    int taken, rc = 0, error = EBADF;

    if (watcher.wake == -1 && PyErr_Occurred())
        return NULL;
    /* Entered first, then taken: a close() in between wakes us or is seen here. */
    LOCK_LISTS();
    watcher.next = queue->watchers;
    queue->watchers = &watcher;
    UNLOCK_LISTS();
    taken = take(queue);
    if (taken) {
        ready[0].fd = queue->mqd;
        do {
            PyThreadState *state = PyEval_SaveThread();

            rc = poll(ready, 2, -1);
            error = errno;
            PyEval_RestoreThread(state);
        } while (rc < 0 && error == EINTR && run_handlers(queue) == 0);
    }
    LOCK_LISTS();
    for (link = &queue->watchers; *link != NULL && *link != &watcher; link = &(*link)->next)
        ;
    if (*link != NULL) /* else this is the child of a fork, which knows of no watchers */
        *link = watcher.next;
    UNLOCK_LISTS();
    if (taken)
        give_back(queue);
    if (PyErr_Occurred())
        return NULL;
    if (!taken || rc < 0)
        return fail(queue, "receive", error);
    if (ready[1].revents != 0 && read(watcher.wake, &count, sizeof count) > 0)
        Py_RETURN_FALSE;
    if (ready[0].revents & POLLNVAL)
        return fail(queue, "receive", EBADF);
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Close this handle; other handles of the queue stay valid, and so does its "
                        "name.\n\n"
                        "A thread that waits on this handle keeps its queue until its wait ends. A "
                        "notification request of this\n"
                        "process for the queue ends. Raises ExistentialError when the handle is "
                        "closed already.\n"
                        "POSIX.1-2017, mq_close().");

static PyObject *queue_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Queue *queue = (Queue *)self;
    int users = LOAD(queue->users);
    Watcher *watcher;

    do {
        if (users & CLOSED)
            return fail(queue, "close", EBADF);
    } while (!SWAP(queue->users, users, (users | CLOSED) + 1));
    LOCK_LISTS();
    for (watcher = queue->watchers; watcher != NULL; watcher = watcher->next)
        wake_up(watcher->wake);
    UNLOCK_LISTS();
    /* The descriptor lives on in its other users; the request must not. */
    if (users > 0)
        mq_notify(queue->mqd, NULL);
    give_back(queue);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(fileno_doc, "fileno($self, /)\n--\n\n"
                         "The queue descriptor, an int, for selectors, select and event loops "
                         "(Linux: mq_overview(7)).\n\n"
                         "Raises ExistentialError when the handle is closed.");

static PyObject *queue_fileno(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Queue *queue = (Queue *)self;

    if (LOAD(queue->users) & CLOSED)
        return fail(queue, "fileno", EBADF);
    return PyLong_FromLong((long)queue->mqd);
}

PyDoc_STRVAR(notify_doc, "_notify($self, kind, number, ticket, /)\n--\n\n"
                         "mq_notify(3). kind: SIGEV_SIGNAL (number: the signal), SIGEV_THREAD "
                         "(number: the socket that receives the\n"
                         "ticket), SIGEV_NONE cancels. A request that this process has for the "
                         "queue gives way.");

/* Cancel and ask again is one thing to the other threads: else two that replace a request would
 * find each other's, and take it for another process's. */
static pthread_mutex_t request_lock = PTHREAD_MUTEX_INITIALIZER;

/* Make a request, in the place of one that this process has. 0, or -1 with errno. */
static int replace_request(mqd_t mqd, int kind, int number, unsigned long long ticket)
{
    int rc, error;

    pthread_mutex_lock(&request_lock);
    rc = request_ticket(mqd, kind, number, ticket);
    if (rc < 0 && errno == EBUSY &&
        mq_notify(mqd, NULL) == 0) /* which ends a request of this process only */
        rc = request_ticket(mqd, kind, number, ticket);
    error = errno;
    pthread_mutex_unlock(&request_lock);
    errno = error;
    return rc;
}

static PyObject *queue_notify(PyObject *self, PyObject *args)
{
    Queue *queue = (Queue *)self;
    unsigned long long ticket;
    int kind, number, rc, error;

    if (!PyArg_ParseTuple(args, "iiK:_notify", &kind, &number, &ticket))
        return NULL;
    if (!take(queue))
        return fail(queue, "notify", EBADF);
    do {
        PyThreadState *state = PyEval_SaveThread(); /* the kernel may wait for room in the socket */

        rc = kind == SIGEV_NONE ? mq_notify(queue->mqd, NULL)
                                : replace_request(queue->mqd, kind, number, ticket);
        error = errno;
        PyEval_RestoreThread(state);
    } while (rc < 0 && error == EINTR && run_handlers(queue) == 0);
    give_back(queue);
    if (rc < 0)
        return PyErr_Occurred() ? NULL : fail(queue, "notify", error);
    Py_RETURN_NONE;
}

/* --- properties --------------------------------------------------------------------------- */

static PyObject *get_mqd(PyObject *self, void *Py_UNUSED(closure))
{
    return queue_fileno(self, NULL);
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(LOAD(((Queue *)self)->users) & CLOSED);
}

static PyObject *get_constant(PyObject *self, void *offset)
{
    Queue *queue = (Queue *)self;

    if (LOAD(queue->users) & CLOSED)
        return fail(queue, "property", EBADF);
    return PyLong_FromLong(*(long *)((char *)queue + (ptrdiff_t)offset));
}

static PyObject *get_current_messages(PyObject *self, void *Py_UNUSED(closure))
{
    struct mq_attr attributes;

    if (get_attributes((Queue *)self, "property", &attributes) < 0)
        return NULL;
    return PyLong_FromLong(attributes.mq_curmsgs);
}

static PyObject *get_block(PyObject *self, void *Py_UNUSED(closure))
{
    struct mq_attr attributes = {0};

    if (get_attributes((Queue *)self, "property", &attributes) < 0)
        return NULL;
    return PyBool_FromLong(!(attributes.mq_flags & O_NONBLOCK));
}

static int set_block(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Queue *queue = (Queue *)self;
    struct mq_attr attributes = {0};
    int block, rc;

    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "block cannot be deleted");
        return -1;
    }
    block = PyObject_IsTrue(value);
    if (block < 0)
        return -1;
    if (!take(queue)) {
        fail(queue, "property", EBADF);
        return -1;
    }
    attributes.mq_flags = block ? 0 : O_NONBLOCK;
    rc = mq_setattr(queue->mqd, &attributes, NULL);
    if (rc < 0)
        fail(queue, "property", errno);
    give_back(queue);
    return rc;
}

/* --- the type ----------------------------------------------------------------------------- */

static PyObject *queue_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                           PyObject *Py_UNUSED(kwargs))
{
    Queue *queue = (Queue *)type->tp_alloc(type, 0);

    if (queue != NULL) {
        queue->mqd = (mqd_t)-1;
        queue->users = CLOSED;
        LOCK_LISTS();
        queue->next = handles;
        if (handles != NULL)
            handles->previous = queue;
        handles = queue;
        UNLOCK_LISTS();
    }
    return (PyObject *)queue;
}

/* A handle dropped open keeps its descriptor, as the interface promises; the programmer may want to
 * know. */
static void queue_finalize(PyObject *self)
{
    PyObject *type, *value, *traceback;

    if (LOAD(((Queue *)self)->users) & CLOSED)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_ResourceWarning(self, 1, "unclosed message queue %S: close() was not called",
                              ((Queue *)self)->name) < 0 &&
        PyErr_ExceptionMatches(PyExc_Warning))
        PyErr_WriteUnraisable(self);
    PyErr_Restore(type, value, traceback);
}

static void queue_dealloc(PyObject *self)
{
    Queue *queue = (Queue *)self;
    PyTypeObject *type = Py_TYPE(self);

    /* For a subclass Python has called the finalizer already. */
    if (type->tp_dealloc == queue_dealloc && PyObject_CallFinalizerFromDealloc(self) < 0)
        return; /* resurrected */
    LOCK_LISTS();
    if (queue->previous != NULL)
        queue->previous->next = queue->next;
    else
        handles = queue->next;
    if (queue->next != NULL)
        queue->next->previous = queue->previous;
    UNLOCK_LISTS();
    Py_XDECREF(queue->spare);
    Py_XDECREF(queue->name);
    Py_XDECREF(queue->mode);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef queue_methods[] = {
    {"send", (PyCFunction)(void (*)(void))queue_send, FAST, send_doc},
    {"receive", (PyCFunction)(void (*)(void))queue_receive, FAST, receive_doc},
    {"send_many", (PyCFunction)(void (*)(void))queue_send_many, FAST, send_many_doc},
    {"receive_many", (PyCFunction)(void (*)(void))queue_receive_many, FAST, receive_many_doc},
    {"receive_into", (PyCFunction)(void (*)(void))queue_receive_into, FAST, receive_into_doc},
    {"close", queue_close, METH_NOARGS, close_doc},
    {"fileno", queue_fileno, METH_NOARGS, fileno_doc},
    {"_await_message", queue_await_message, METH_O, await_doc},
    {"_notify", queue_notify, METH_VARARGS, notify_doc},
    {"_open", (PyCFunction)(void (*)(void))queue_open, METH_FASTCALL, open_doc},
    {"_open_plain", (PyCFunction)(void (*)(void))queue_open_plain, METH_FASTCALL, open_plain_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef queue_members[] = {
    {"name", T_OBJECT, offsetof(Queue, name), READONLY,
     "The queue's name, as given or as chosen: str."},
    {"mode", T_OBJECT, offsetof(Queue, mode), READONLY, "The permission bits, as given: int."},
    {"_readable", T_BOOL, offsetof(Queue, readable), READONLY, NULL},
    {"_writable", T_BOOL, offsetof(Queue, writable), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef queue_properties[] = {
    {"mqd", get_mqd, NULL, "The queue descriptor: int.", NULL},
    {"closed", get_closed, NULL, "Whether close() was called: bool.", NULL},
    {"max_messages", get_constant, NULL, "How many messages the queue can hold.",
     (void *)offsetof(Queue, max_messages)},
    {"max_message_size", get_constant, NULL, "How many bytes a message may have.",
     (void *)offsetof(Queue, max_message_size)},
    {"current_messages", get_current_messages, NULL, "How many messages the queue holds now.",
     NULL},
    {"block", get_block, set_block,
     "Whether send() and receive() may wait: bool. False makes them raise BusyError instead, "
     "whatever their timeout.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, "An open queue descriptor and the calls that must be fast; the base of "
                "MessageQueue."},
    {Py_tp_new, queue_new},
    {Py_tp_finalize, queue_finalize},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_members, queue_members},
    {Py_tp_getset, queue_properties},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "posix_ipc_swig._mqueue.Queue",
    .basicsize = sizeof(Queue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};

/* --- the module's part -------------------------------------------------------------------- */

PyDoc_STRVAR(set_errors_doc, "set_errors(busy_error, operation_error, /)\n--\n\n"
                             "Say which class a call raises that may not wait, and which function "
                             "makes the exception for any\n"
                             "other failure: operation_error(queue, operation, errno).");

static PyObject *set_errors(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *busy, *operation;

    if (!PyArg_ParseTuple(args, "OO:set_errors", &busy, &operation))
        return NULL;
    Py_INCREF(busy);
    Py_XSETREF(busy_error, busy);
    Py_INCREF(operation);
    Py_XSETREF(operation_error, operation);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(forget_threads_doc, "forget_threads()\n--\n\n"
                                 "In the child of a fork: the calls that other threads were in go "
                                 "on in the parent only. "
                                 "Their hold\n"
                                 "on the handles, which would keep close() from closing the "
                                 "descriptor, ends here.");

static PyObject *forget_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Queue *queue;
    Handling *call;

    pthread_mutex_init(&request_lock, NULL); /* another thread may have held it */
#ifdef Py_GIL_DISABLED
    lists_lock = (PyMutex){0};
#endif
    for (queue = handles; queue != NULL; queue = queue->next) {
        int closed = queue->users & CLOSED, users = queue->users & ~CLOSED, ours = 0;

        for (call = handling; call != NULL; call = call->outer)
            ours += call->queue == queue;
        queue->watchers = NULL;
        queue->users = closed | ours;
        if (ours > 0)
            continue;
        queue->spare_taken = 0;
        if (closed && users > 0) /* it was theirs to close */
            mq_close(queue->mqd);
    }
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"set_errors", set_errors, METH_VARARGS, set_errors_doc},
    {"forget_threads", forget_threads, METH_NOARGS, forget_threads_doc},
    {NULL, NULL, 0, NULL},
};

static int intern(PyObject **word, const char *text)
{
    *word = PyUnicode_InternFromString(text);
    return *word == NULL ? -1 : 0;
}

int add_queue_type(PyObject *module)
{
    PyObject *type;

    look_at_returns();
    zero = PyLong_FromLong(0);
    if (zero == NULL)
        return -1;
    if (intern(&word_message, "message") < 0 || intern(&word_messages, "messages") < 0 ||
        intern(&word_timeout, "timeout") < 0 || intern(&word_priority, "priority") < 0 ||
        intern(&word_limit, "limit") < 0 || intern(&word_buffer, "buffer") < 0 ||
        PyModule_AddFunctions(module, module_methods) < 0)
        return -1;
    type = PyType_FromSpec(&queue_spec);
    if (type == NULL)
        return -1;
    if (PyModule_AddObject(module, "Queue", type) < 0) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}

int queues_supported(void)
{
    struct mq_attr attributes;

    return mq_getattr((mqd_t)-1, &attributes) == 0 || errno != ENOSYS;
}
