/* Failures of the C functions as Python exceptions. */
#ifndef POSIX_IPC_SWIG_ERRORS_H
#define POSIX_IPC_SWIG_ERRORS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>

/* The int of a C function whose only values are 0 and -1: None and an error in Python. */
typedef int status_t;

/* Set the OSError of errno; `name` (or NULL) becomes its filename. After EINTR the signal handlers
 * run first, and what they raise takes the error's place. */
static inline void raise_errno(PyObject *name)
{
    int error = errno;

    if (error == EINTR && PyErr_CheckSignals() < 0)
        return;
    errno = error;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
}

#endif
