/* The floor: send and receive one message on a queue of this process, with nothing around the
 * system calls.
 *
 *     loop SIZE ITERATIONS [SECONDS]
 *
 * SIZE: bytes a message. SECONDS: a timeout, as C programs give one: a deadline on the wall clock,
 * computed for each call. For each line on its input it does ITERATIONS pairs and prints the
 * nanoseconds that one pair took, so that whoever drives it can take turns between this and others.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static struct timespec deadline(time_t seconds)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += seconds;
    return time;
}

static void pair(mqd_t queue, char *room, size_t size, size_t max, time_t seconds)
{
    unsigned int priority;
    struct timespec until;

    if (seconds == 0) {
        if (mq_send(queue, room, size, 0) < 0)
            stop("mq_send");
        if (mq_receive(queue, room, max, &priority) < 0)
            stop("mq_receive");
        return;
    }
    until = deadline(seconds);
    if (mq_timedsend(queue, room, size, 0, &until) < 0)
        stop("mq_timedsend");
    until = deadline(seconds);
    if (mq_timedreceive(queue, room, max, &priority, &until) < 0)
        stop("mq_timedreceive");
}

int main(int argc, char **argv)
{
    struct mq_attr attributes = {0};
    struct timespec start, end;
    char name[64], line[16], *room;
    long iterations, i;
    size_t size;
    time_t seconds;
    mqd_t queue;

    if (argc < 3) {
        fprintf(stderr, "usage: %s SIZE ITERATIONS [SECONDS]\n", argv[0]);
        return 2;
    }
    size = strtoul(argv[1], NULL, 10);
    iterations = strtol(argv[2], NULL, 10);
    seconds = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    attributes.mq_maxmsg = 2;
    attributes.mq_msgsize = size > 0 ? (long)size : 1;
    snprintf(name, sizeof name, "/bench-loop-%ld", (long)getpid());
    queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    if (queue == (mqd_t)-1)
        stop("mq_open");
    mq_unlink(name); /* the descriptor is enough, and nothing stays behind */
    room = calloc(1, (size_t)attributes.mq_msgsize);
    if (room == NULL)
        stop("calloc");
    while (fgets(line, sizeof line, stdin) != NULL) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (i = 0; i < iterations; i++)
            pair(queue, room, size, (size_t)attributes.mq_msgsize, seconds);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%.2f\n",
               ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
                   (double)iterations);
        fflush(stdout);
    }
    return 0;
}
