#include "convert.h"

#include <string.h>

int name_bytes(PyObject *name, PyObject **bytes)
{
    if (PyUnicode_Check(name)) {
        *bytes = PyUnicode_EncodeFSDefault(name);
    } else if (PyBytes_Check(name)) {
        Py_INCREF(name);
        *bytes = name;
    } else {
        PyErr_Format(PyExc_TypeError, "name must be str or bytes, not %.200s",
                     Py_TYPE(name)->tp_name);
        *bytes = NULL;
    }
    if (*bytes != NULL && strlen(PyBytes_AS_STRING(*bytes)) != (size_t)PyBytes_GET_SIZE(*bytes)) {
        PyErr_SetString(PyExc_ValueError, "name holds a NUL character");
        Py_CLEAR(*bytes);
    }
    return *bytes != NULL;
}

PyObject *new_message(PyObject *size)
{
    Py_ssize_t length;

    if (!PyLong_Check(size))
        return PyErr_Format(PyExc_TypeError, "size must be an int, not %.200s",
                            Py_TYPE(size)->tp_name);
    length = PyLong_AsSsize_t(size);
    if (length == -1 && PyErr_Occurred())
        return NULL;
    if (length < 0) {
        PyErr_SetString(PyExc_ValueError, "size must not be negative");
        return NULL;
    }
    /* One byte more than none: the empty bytes object is shared by everyone and must not be written
     * to. */
    return PyBytes_FromStringAndSize(NULL, length > 0 ? length : 1);
}

/* The fields of the structs, in the standard's order (SWIG keeps them in none). */
static const char *const attr_fields[] = {"mq_flags", "mq_maxmsg", "mq_msgsize", "mq_curmsgs",
                                          NULL};
static const char *const timespec_fields[] = {"tv_sec", "tv_nsec", NULL};
static const char *const sigevent_fields[] = {"sigev_notify", "sigev_signo", "sigev_value",
                                              "sigev_notify_function", NULL};

/* The type's own name and fields, by the last part of its dotted name. */
static const char *const *fields_of(PyObject *self, const char **name)
{
    const char *dot = strrchr(Py_TYPE(self)->tp_name, '.');

    *name = dot == NULL ? Py_TYPE(self)->tp_name : dot + 1;
    if (strcmp(*name, "mq_attr") == 0)
        return attr_fields;
    return strcmp(*name, "timespec") == 0 ? timespec_fields : sigevent_fields;
}

PyObject *struct_repr(PyObject *self)
{
    const char *name;
    const char *const *field = fields_of(self, &name);
    PyObject *text = PyUnicode_FromFormat("%s(", name);
    int first = 1;

    for (; text != NULL && *field != NULL; field++, first = 0) {
        PyObject *value = PyObject_GetAttrString(self, *field);
        PyObject *longer = value == NULL ? NULL
                                         : PyUnicode_FromFormat("%U%s%s=%R", text,
                                                                first ? "" : ", ", *field, value);

        Py_XDECREF(value);
        Py_SETREF(text, longer);
    }
    if (text != NULL)
        Py_SETREF(text, PyUnicode_FromFormat("%U)", text));
    return text;
}

PyObject *struct_richcompare(PyObject *self, PyObject *other, int op)
{
    const char *name;
    const char *const *field = fields_of(self, &name);
    int equal = 1;

    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    for (; equal > 0 && *field != NULL; field++) {
        PyObject *mine = PyObject_GetAttrString(self, *field);
        PyObject *theirs = mine == NULL ? NULL : PyObject_GetAttrString(other, *field);

        equal = theirs == NULL ? -1 : PyObject_RichCompareBool(mine, theirs, Py_EQ);
        Py_XDECREF(mine);
        Py_XDECREF(theirs);
    }
    if (equal < 0)
        return NULL;
    return PyBool_FromLong(equal == (op == Py_EQ));
}
