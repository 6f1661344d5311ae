/* Failures: every -1 becomes the OSError of its errno. */

%typemap(out) status_t {
    if ($1 < 0) {
        raise_errno(NULL);
        SWIG_fail;
    }
    Py_INCREF(Py_None);
    $result = Py_None;
}

%typemap(out) mqd_t {
    if ($1 == (mqd_t)-1) {
        raise_errno(NULL);
        SWIG_fail;
    }
    $result = PyLong_FromLong((long)$1);
}

/* The calls that take a name say it in the error, as open() does. */
%typemap(out) mqd_t mq_open {
    if ($1 == (mqd_t)-1) {
        raise_errno(obj0);
        SWIG_fail;
    }
    $result = PyLong_FromLong((long)$1);
}

%typemap(out) status_t mq_unlink {
    if ($1 < 0) {
        raise_errno(obj0);
        SWIG_fail;
    }
    Py_INCREF(Py_None);
    $result = Py_None;
}
