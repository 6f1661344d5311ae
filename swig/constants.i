/* Constants, as the C headers of the machine that builds have them. */
%{
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
%}

%constant int O_RDONLY = O_RDONLY;
%constant int O_WRONLY = O_WRONLY;
%constant int O_RDWR = O_RDWR;
%constant int O_CREAT = O_CREAT;
%constant int O_EXCL = O_EXCL;
%constant int O_TRUNC = O_TRUNC;
%constant int O_NONBLOCK = O_NONBLOCK;
%constant int O_CLOEXEC = O_CLOEXEC;

%constant int SIGEV_NONE = SIGEV_NONE;
%constant int SIGEV_SIGNAL = SIGEV_SIGNAL;
%constant int SIGEV_THREAD = SIGEV_THREAD;

%constant int MQ_PRIO_MAX = PRIORITY_LIMIT;

/* Functions in C: the C library keeps some real-time signals for itself. */
%constant int SIGRTMIN = SIGRTMIN;
%constant int SIGRTMAX = SIGRTMAX;
