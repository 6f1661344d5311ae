/* How arguments and results cross between Python and C. */

typedef int mqd_t;
typedef unsigned int mode_t;
typedef int status_t;

/* A queue's name: str, as a file name is encoded, or bytes; no NUL. */
%typemap(in) const char *name (PyObject *bytes = NULL) {
    if (!name_bytes($input, &bytes))
        SWIG_fail;
    $1 = PyBytes_AS_STRING(bytes);
}
%typemap(freearg) const char *name {
    Py_XDECREF(bytes$argnum);
}

/* A message to send: any contiguous buffer, used where it lies. */
%typemap(in) (const char *msg_ptr, size_t msg_len) (Py_buffer view = {0}) {
    if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE) < 0)
        SWIG_fail;
    $1 = view.buf;
    $2 = (size_t)view.len;
}
%typemap(freearg) (const char *msg_ptr, size_t msg_len) {
    PyBuffer_Release(&view$argnum);
}

/* A message to receive: Python gives the size, C writes straight into the bytes object that is returned. */
%typemap(in) (char *msg_ptr, size_t msg_len) (PyObject *message = NULL) {
    message = new_message($input);
    if (message == NULL)
        SWIG_fail;
    $1 = PyBytes_AS_STRING(message);
    $2 = (size_t)PyBytes_GET_SIZE(message);
}
%typemap(freearg) (char *msg_ptr, size_t msg_len) {
    Py_XDECREF(message$argnum);
}
%typemap(in, numinputs=0) unsigned int *msg_prio (unsigned int priority = 0) {
    $1 = &priority;
}
%typemap(out) ssize_t {
    if ($1 < 0) {
        raise_errno(NULL);
        SWIG_fail;
    }
    $result = NULL; /* made below, where message and priority are at hand */
}
%typemap(argout) (char *msg_ptr, size_t msg_len) {
    if (_PyBytes_Resize(&message$argnum, result) < 0)
        SWIG_fail;
}
%typemap(argout) unsigned int *msg_prio {
    $result = Py_BuildValue("(OI)", message2, priority$argnum);
    if ($result == NULL)
        SWIG_fail;
}

/* Structs that C reads. None is a null pointer, where the standard gives one a meaning. */
%define STRUCT_IN(DECLARATION, STRUCT, WHAT, NONE_MEANS_NULL)
%typemap(in) DECLARATION (void *pointer = NULL) {
    if (!SWIG_IsOK(SWIG_ConvertPtr($input, &pointer, $descriptor(STRUCT *), 0)) || (pointer == NULL && !NONE_MEANS_NULL)) {
        PyErr_Format(PyExc_TypeError, "$symname: $1_name must be " WHAT ", not %.200s", Py_TYPE($input)->tp_name);
        SWIG_fail;
    }
    $1 = pointer;
}
%enddef

STRUCT_IN(const struct timespec *abs_timeout, struct timespec, "a timespec", 0)
STRUCT_IN(const struct mq_attr *newattr, struct mq_attr, "an mq_attr", 0)
STRUCT_IN(struct mq_attr *attr, struct mq_attr, "an mq_attr or None", 1)
STRUCT_IN(const struct notice *notification, struct notice, "a sigevent or None", 1)

/* A struct that C fills in is what Python gets back. */
%typemap(in, numinputs=0) struct mq_attr *result (struct mq_attr filled) {
    memset(&filled, 0, sizeof filled);
    $1 = &filled;
}
%typemap(argout) struct mq_attr *result {
    struct mq_attr *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        PyErr_NoMemory();
        SWIG_fail;
    }
    *copy = filled$argnum;
    Py_XDECREF($result);
    $result = SWIG_NewPointerObj(copy, $descriptor(struct mq_attr *), SWIG_POINTER_OWN);
}
