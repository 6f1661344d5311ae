/* The structs as Python types: the fields that the standard names, set by keyword, compared by value. */

/* A field that does not exist cannot be set: a typing error must not pass in silence. */
%pythonnondynamic;

%define VALUE_TYPE(NAME)
%feature("python:tp_repr") NAME "struct_repr";
%feature("python:tp_richcompare") NAME "struct_richcompare";
%feature("python:tp_hash") NAME "PyObject_HashNotImplemented";
%enddef

VALUE_TYPE(mq_attr)
VALUE_TYPE(timespec)
VALUE_TYPE(notice)

struct mq_attr {
    long mq_flags;
    long mq_maxmsg;
    long mq_msgsize;
    long mq_curmsgs;
    %extend {
        mq_attr(long mq_flags = 0, long mq_maxmsg = 0, long mq_msgsize = 0, long mq_curmsgs = 0)
        {
            struct mq_attr *attr = calloc(1, sizeof *attr);
            if (attr != NULL) {
                attr->mq_flags = mq_flags;
                attr->mq_maxmsg = mq_maxmsg;
                attr->mq_msgsize = mq_msgsize;
                attr->mq_curmsgs = mq_curmsgs;
            }
            return attr;
        }
    }
};

typedef long time_t;

struct timespec {
    time_t tv_sec;
    long tv_nsec;
    %extend {
        timespec(time_t tv_sec = 0, long tv_nsec = 0)
        {
            struct timespec *time = calloc(1, sizeof *time);
            if (time != NULL) {
                time->tv_sec = tv_sec;
                time->tv_nsec = tv_nsec;
            }
            return time;
        }
    }
};

/* sigevent: the function is a Python callable, which C's struct has no room for (notify.h). */
%typemap(in) PyObject *function, PyObject *sigev_notify_function {
    if ($input != Py_None && !PyCallable_Check($input)) {
        PyErr_Format(PyExc_TypeError, "sigev_notify_function must be callable or None, not %.200s", Py_TYPE($input)->tp_name);
        SWIG_fail;
    }
    $1 = $input;
}
%typemap(memberin) PyObject *function {
    set_callable(&$1, $input);
}
%typemap(out) PyObject *function {
    $result = notice_callable(arg1); /* not the field as it was read: it may have changed since */
}

%rename(sigevent) notice;
%rename(sigev_notify) notice::notify;
%rename(sigev_signo) notice::signo;
%rename(sigev_value) notice::value;
%rename(sigev_notify_function) notice::function;
struct notice {
    int notify;
    int signo;
    int value;
    PyObject *function;
    %extend {
        notice(int sigev_notify = SIGEV_SIGNAL, int sigev_signo = 0, int sigev_value = 0,
               PyObject *sigev_notify_function = NULL)
        {
            return make_notice(sigev_notify, sigev_signo, sigev_value, sigev_notify_function);
        }
        ~notice()
        {
            drop_notice($self);
        }
    }
};
