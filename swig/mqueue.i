/* The front door: what is wrapped, in the order of <mqueue.h>.
 *
 * The declarations are the standard's (POSIX.1-2017, XSH mq_open() and its neighbours), so the Python functions have
 * the C names, argument order and meaning. How arguments and results cross is in typemaps.i, how failures do in
 * errors.i. Nothing here waits with the interpreter lock held: the calls marked %thread give it away.
 */
%module(package="posix_ipc_swig", threads="1") mqueue

%begin %{
#define PY_SSIZE_T_CLEAN
%}

%{
#include <mqueue.h>
#include <signal.h>
#include <time.h>

#include "convert.h"
#include "errors.h"
#include "notify.h"
#include "queue.h"

#undef sigev_notify_function /* C libraries define it in <signal.h>; here it names a parameter */
%}

%nothread;
%feature("kwargs");
%feature("compactdefaultargs");

%include "errors.i"
%include "typemaps.i"
%include "constants.i"
%include "docs.i"
%include "structs.i"

%thread mq_open;
%thread close_and_forget;
%thread mq_unlink;
%thread mq_send;
%thread mq_timedsend;
%thread mq_receive;
%thread mq_timedreceive;
%thread mq_setattr;

/* Variadic in C: mode and attr count only with O_CREAT. */
mqd_t mq_open(const char *name, int oflag, mode_t mode = 0, struct mq_attr *attr = NULL);
%rename(mq_close) close_and_forget;
status_t close_and_forget(mqd_t mqdes);
status_t mq_unlink(const char *name);
status_t mq_send(mqd_t mqdes, const char *msg_ptr, size_t msg_len, unsigned int msg_prio);
status_t mq_timedsend(mqd_t mqdes, const char *msg_ptr, size_t msg_len, unsigned int msg_prio,
                      const struct timespec *abs_timeout);
ssize_t mq_receive(mqd_t mqdes, char *msg_ptr, size_t msg_len, unsigned int *msg_prio);
ssize_t mq_timedreceive(mqd_t mqdes, char *msg_ptr, size_t msg_len, unsigned int *msg_prio,
                        const struct timespec *abs_timeout);
%rename(mq_notify) request_notice;
status_t request_notice(mqd_t mqdes, const struct notice *notification);
status_t mq_getattr(mqd_t mqdes, struct mq_attr *result);
status_t mq_setattr(mqd_t mqdes, const struct mq_attr *newattr, struct mq_attr *result);

%include "private.i"
%include "interpreters.i"
