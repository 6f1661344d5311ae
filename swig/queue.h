/* The base type of MessageQueue: an open queue descriptor, and the calls that must be fast. */
#ifndef POSIX_IPC_SWIG_QUEUE_H
#define POSIX_IPC_SWIG_QUEUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Add the type, as `Queue`, and `set_errors` to the module. 0, or -1 with an error set. */
int add_queue_type(PyObject *module);

/* Whether the running kernel has message queues at all. */
int queues_supported(void);

#endif
