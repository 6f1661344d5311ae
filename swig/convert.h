/* Conversions between Python objects and what the mq_* functions take. Used by the SWIG typemaps
 * and by queue.c. */
#ifndef POSIX_IPC_SWIG_CONVERT_H
#define POSIX_IPC_SWIG_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* <limits.h> may leave MQ_PRIO_MAX out where sysconf() would have to be asked (musl does); Linux's
 * is 32768. */
#include <limits.h>
#ifdef MQ_PRIO_MAX
#define PRIORITY_LIMIT MQ_PRIO_MAX
#else
#define PRIORITY_LIMIT 32768
#endif

/* A queue's name as bytes: str (file system encoding) or bytes, no NUL. Converter: 1, or 0 with an
 * error set. */
int name_bytes(PyObject *name, PyObject **bytes);

/* A bytes object of `size` bytes (an int, not negative) for C to write into, or NULL with an error
 * set. */
PyObject *new_message(PyObject *size);

/* repr() and == of a struct's fields, for the types that SWIG makes: `mq_attr(mq_flags=0, ...)`. */
PyObject *struct_repr(PyObject *self);
PyObject *struct_richcompare(PyObject *self, PyObject *other, int op);

#endif
