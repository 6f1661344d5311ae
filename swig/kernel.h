/* The system calls, made where they are asked for: on x86-64 without the C library's function
 * around them, elsewhere through it. Results and errno are as the C library has them, but on x86-64
 * none is a cancellation point: Python cancels no threads. */
#ifndef POSIX_IPC_SWIG_KERNEL_H
#define POSIX_IPC_SWIG_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#if defined __x86_64__ && !defined __ILP32__ && defined SYS_mq_timedsend

/* Linux guards its returns on AMD's Zen 3 and 4 ("Safe RET":
 * Documentation/admin-guide/hw-vuln/srso.rst). After a system call the processor's stack of return
 * addresses then holds what is the kernel's, and the first return from a function that was entered
 * before costs 300 ns. Calls that nobody returns from put addresses on top of those: a return to
 * them fails fast. How many it takes was found by trying. A send and a receive of 64 bytes, beside
 * 2,067 ns without (CPython 3.13, Linux 6.18 in a virtual machine): with 1, 2 and 4 calls the same,
 * with 8 1,555, with 16 1,566, with 32 1,600. Where returns are not guarded the calls are a loss:
 * 528 ns became 651 (an Intel Xeon). */
static int returns_are_dear;

static inline void look_at_returns(void)
{
    char text[80];
    ssize_t size;
    int file =
        open("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return;
    size = read(file, text, sizeof text - 1);
    close(file);
    text[size > 0 ? size : 0] = 0;
    returns_are_dear = strstr(text, "afe RET") != NULL;
}

/* A shadow stack, where there is one, must forget the calls too. */
#if defined __CET__ && __CET__ & 2
#define FORGET_CALLS(count)                                                                        \
    "xorl %%ecx, %%ecx\n\t"                                                                        \
    "rdsspq %%rcx\n\t"                                                                             \
    "testq %%rcx, %%rcx\n\t"                                                                       \
    "jz 2f\n\t"                                                                                    \
    "movl $" #count ", %%ecx\n\t"                                                                  \
    "incsspq %%rcx\n"                                                                              \
    "2:"
#else
#define FORGET_CALLS(count) ""
#endif

/* The 128 bytes below the stack's end are the function's. */
#define COVER_RETURNS(count)                                                                       \
    do {                                                                                           \
        if (returns_are_dear)                                                                      \
            __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"                                         \
                             ".rept " #count "\n\t"                                                \
                             "call 1f\n\t"                                                         \
                             "int3\n"                                                              \
                             "1:\n\t"                                                              \
                             ".endr\n\t"                                                           \
                             "leaq 128+8*" #count "(%%rsp), %%rsp\n\t" FORGET_CALLS(count)         \
                             :                                                                     \
                             :                                                                     \
                             : "rcx", "cc", "memory");                                             \
    } while (0)

INLINE long call_kernel(long call, long first, long second, long third, long fourth, long fifth)
{
    register long in_r10 __asm__("r10") = fourth;
    register long in_r8 __asm__("r8") = fifth;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(call), "D"(first), "S"(second), "d"(third), "r"(in_r10), "r"(in_r8)
                     : "rcx", "r11", "memory");
    COVER_RETURNS(8);
    if (LIKELY(result >= 0))
        return result;
    errno = (int)-result;
    return -1;
}

/* A deadline of NULL is none: mq_send(3), and mq_receive(3) below. */
INLINE int kernel_send(mqd_t mqd, const char *data, size_t size, unsigned int priority,
                       const struct timespec *deadline)
{
    return (int)call_kernel(SYS_mq_timedsend, mqd, (long)data, (long)size, (long)priority,
                            (long)deadline);
}

INLINE ssize_t kernel_receive(mqd_t mqd, char *data, size_t size, unsigned int *priority,
                              const struct timespec *deadline)
{
    return call_kernel(SYS_mq_timedreceive, mqd, (long)data, (long)size, (long)priority,
                       (long)deadline);
}

/* name: begins with a slash, which is the C library's. */
INLINE mqd_t kernel_open(const char *name, int oflag, mode_t mode, struct mq_attr *attributes)
{
    return (mqd_t)call_kernel(SYS_mq_open, (long)(name + 1), oflag, (long)mode, (long)attributes,
                              0);
}

INLINE int kernel_close(mqd_t mqd)
{
    return (int)call_kernel(SYS_close, mqd, 0, 0, 0, 0);
}

INLINE int kernel_getattr(mqd_t mqd, struct mq_attr *attributes)
{
    return (int)call_kernel(SYS_mq_getsetattr, mqd, 0, (long)attributes, 0, 0);
}

#else

#define look_at_returns() ((void)0)
#define COVER_RETURNS(count) ((void)0)
#define kernel_open mq_open
#define kernel_close mq_close
#define kernel_getattr mq_getattr

INLINE int kernel_send(mqd_t mqd, const char *data, size_t size, unsigned int priority,
                       const struct timespec *deadline)
{
    return deadline == NULL ? mq_send(mqd, data, size, priority)
                            : mq_timedsend(mqd, data, size, priority, deadline);
}

INLINE ssize_t kernel_receive(mqd_t mqd, char *data, size_t size, unsigned int *priority,
                              const struct timespec *deadline)
{
    return deadline == NULL ? mq_receive(mqd, data, size, priority)
                            : mq_timedreceive(mqd, data, size, priority, deadline);
}

#endif

#endif
