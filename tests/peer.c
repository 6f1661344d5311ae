/* The other side of the process tests: a C program that uses message queues as C programs do.
 *
 * peer create NAME MAXMSG MSGSIZE          make a queue
 * peer send NAME PRIORITY MESSAGE...       send the messages, waiting as long as it takes
 * peer receive NAME COUNT                  print "PRIORITY LENGTH MESSAGE" for each of the next
 * ones peer unlink NAME                         remove the name
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int create(const char *name, long maxmsg, long msgsize)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};

    return mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr) == (mqd_t)-1 ? fail("mq_open") : 0;
}

static int send(const char *name, unsigned int priority, char **messages)
{
    mqd_t mqd = mq_open(name, O_WRONLY);

    if (mqd == (mqd_t)-1)
        return fail("mq_open");
    for (; *messages != NULL; messages++)
        if (mq_send(mqd, *messages, strlen(*messages), priority) < 0)
            return fail("mq_send");
    return 0;
}

static int receive(const char *name, int count)
{
    mqd_t mqd = mq_open(name, O_RDONLY);
    struct mq_attr attr;
    char *message;

    if (mqd == (mqd_t)-1 || mq_getattr(mqd, &attr) < 0)
        return fail("mq_open");
    message = malloc((size_t)attr.mq_msgsize);
    if (message == NULL)
        return fail("malloc");
    while (count-- > 0) {
        unsigned int priority;
        ssize_t length = mq_receive(mqd, message, (size_t)attr.mq_msgsize, &priority);

        if (length < 0)
            return fail("mq_receive");
        printf("%u %zd %.*s\n", priority, length, (int)length, message);
        fflush(stdout);
    }
    free(message);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "create") == 0)
        return create(argv[2], atol(argv[3]), atol(argv[4]));
    if (argc > 4 && strcmp(argv[1], "send") == 0)
        return send(argv[2], (unsigned int)atol(argv[3]), argv + 4);
    if (argc == 4 && strcmp(argv[1], "receive") == 0)
        return receive(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "unlink") == 0)
        return mq_unlink(argv[2]) < 0 ? fail("mq_unlink") : 0;
    fputs("usage: see the head of peer.c\n", stderr);
    return 2;
}
