/* The floor: what each question costs in C, with nothing around the system calls.
 *
 *     loop QUESTION SIZE MAX_MESSAGES MAX_MESSAGE_SIZE SECONDS
 *
 * Sizes in bytes. SECONDS: a timeout as C programs give one, a deadline on the wall clock computed
 * for each call; 0 for none. For each line on its input, a number, it does the question's work that
 * many times and prints the nanoseconds that each took (the mean; then, where the question is of
 * each, all of them), so that whoever drives it can take turns between this and others. The queues
 * are its own and have no names by the time it is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 10 /* messages at a time */
#define CROWD 4  /* senders, or receivers, where there are many */

static mqd_t there, back;
static size_t size, room_size;
static time_t seconds;
static char *room;
static char spare_name[64];
static struct timespec start; /* set again by what has to start others first */
static sem_t called;
static pthread_barrier_t start_line;
static long *each; /* nanoseconds of every time, where these are asked for */

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static mqd_t open_queue(const char *name, int oflag, const struct mq_attr *attributes)
{
    mqd_t queue = mq_open(name, oflag, 0600, attributes);

    if (queue == (mqd_t)-1)
        stop("mq_open");
    return queue;
}

static mqd_t make_queue(const char *what, long max_messages)
{
    struct mq_attr attributes = {.mq_maxmsg = max_messages, .mq_msgsize = (long)room_size};
    char name[64];
    mqd_t queue;

    snprintf(name, sizeof name, "/bench-loop-%ld-%s-%lx", (long)getpid(), what,
             (unsigned long)pthread_self());
    queue = open_queue(name, O_CREAT | O_EXCL | O_RDWR, &attributes);
    mq_unlink(name); /* the descriptor is enough, and nothing stays behind */
    return queue;
}

static struct timespec deadline(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += seconds;
    return time;
}

static void put(mqd_t queue)
{
    if (seconds == 0) {
        if (mq_send(queue, room, size, 0) < 0)
            stop("mq_send");
    } else {
        struct timespec until = deadline();

        if (mq_timedsend(queue, room, size, 0, &until) < 0)
            stop("mq_timedsend");
    }
}

static void get_in(mqd_t queue, char *space)
{
    unsigned int priority;

    if (seconds == 0) {
        if (mq_receive(queue, space, room_size, &priority) < 0)
            stop("mq_receive");
    } else {
        struct timespec until = deadline();

        if (mq_timedreceive(queue, space, room_size, &priority, &until) < 0)
            stop("mq_timedreceive");
    }
}

static void get(mqd_t queue)
{
    get_in(queue, room);
}

/* --- one process -------------------------------------------------------------------------- */

static void pairs(long times)
{
    for (long i = 0; i < times; i++) {
        put(there);
        get(there);
    }
}

static long since(const struct timespec *then)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (time.tv_sec - then->tv_sec) * 1000000000 + time.tv_nsec - then->tv_nsec;
}

static void make_room_for_each(long times)
{
    free(each);
    each = calloc((size_t)times, sizeof *each);
    if (each == NULL)
        stop("calloc");
}

static void each_pair(long times)
{
    struct timespec before;

    make_room_for_each(times);
    for (long i = 0; i < times; i++) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        put(there);
        get(there);
        each[i] = since(&before);
    }
}

static void batches(long times)
{
    for (long i = 0; i < times; i++) {
        for (int j = 0; j < BATCH; j++)
            put(there);
        for (int j = 0; j < BATCH; j++)
            get(there);
    }
}

static void refused_receives(long times)
{
    static const struct timespec past = {0, 0};
    unsigned int priority;

    for (long i = 0; i < times; i++)
        if (mq_timedreceive(there, room, room_size, &priority, &past) >= 0 || errno != ETIMEDOUT)
            stop("mq_timedreceive");
}

static void refused_sends(long times)
{
    static const struct timespec past = {0, 0};

    for (long i = 0; i < times; i++)
        if (mq_timedsend(there, room, size, 0, &past) == 0 || errno != ETIMEDOUT)
            stop("mq_timedsend");
}

static void opens(long times)
{
    for (long i = 0; i < times; i++)
        mq_close(open_queue(spare_name, O_RDWR, NULL));
}

static void creations(long times)
{
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = (long)room_size};
    char name[80];

    snprintf(name, sizeof name, "%s-new", spare_name);
    for (long i = 0; i < times; i++) {
        mqd_t queue = open_queue(name, O_CREAT | O_EXCL | O_RDWR, &attributes);

        mq_unlink(name);
        mq_close(queue);
    }
}

static void attributes(long times)
{
    struct mq_attr attributes;

    for (long i = 0; i < times; i++)
        if (mq_getattr(there, &attributes) < 0)
            stop("mq_getattr");
}

static void blocks(long times)
{
    struct mq_attr attributes = {0};

    for (long i = 0; i < times; i++)
        if (mq_setattr(there, &attributes, NULL) < 0)
            stop("mq_setattr");
}

/* --- notification ------------------------------------------------------------------------- */

static void signals(long times)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (long i = 0; i < times; i++) {
        if (mq_notify(there, &event) < 0)
            stop("mq_notify");
        put(there);
        sigwait(&set, &number);
        get(there);
    }
}

static void call(union sigval ignored)
{
    (void)ignored;
    sem_post(&called);
}

static void callbacks(long times)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = call};

    for (long i = 0; i < times; i++) {
        if (mq_notify(there, &event) < 0)
            stop("mq_notify");
        put(there);
        while (sem_wait(&called) < 0)
            ;
        get(there);
    }
}

/* --- threads ------------------------------------------------------------------------------ */

static void *send_share(void *times)
{
    pthread_barrier_wait(&start_line);
    for (long i = 0; i < *(long *)times; i++)
        put(there);
    return NULL;
}

static void *receive_share(void *times)
{
    char *space = malloc(room_size);

    pthread_barrier_wait(&start_line);
    for (long i = 0; i < *(long *)times; i++)
        get_in(there, space);
    free(space);
    return NULL;
}

/* So many threads, which do the one and the other by turns; the clock starts when all are there. */
static void at_once(int count, void *(*one)(void *), void *(*other)(void *), long share)
{
    pthread_t running[2 * CROWD];

    pthread_barrier_init(&start_line, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++)
        if (pthread_create(&running[i], NULL, i % 2 ? other : one, &share) != 0)
            stop("pthread_create");
    pthread_barrier_wait(&start_line);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < count; i++)
        pthread_join(running[i], NULL);
    pthread_barrier_destroy(&start_line);
}

static void threads(long times)
{
    at_once(2 * CROWD, receive_share, send_share, times / CROWD);
}

static void *pairs_apart(void *times)
{
    mqd_t own = make_queue("own", 1);
    char *space = malloc(room_size);

    pthread_barrier_wait(&start_line);
    for (long i = 0; i < *(long *)times; i++) {
        put(own);
        get_in(own, space);
    }
    free(space);
    mq_close(own);
    return NULL;
}

static void one_apart(long times)
{
    at_once(1, pairs_apart, pairs_apart, times);
}

static void two_apart(long times)
{
    at_once(2, pairs_apart, pairs_apart, times / 2);
}

/* --- processes ---------------------------------------------------------------------------- */

static void answer(long times)
{
    for (long i = 0; i < times; i++) {
        get(there);
        put(back);
    }
}

static void ask(long times)
{
    for (long i = 0; i < times; i++) {
        put(there);
        get(back);
    }
}

static void ask_each(long times)
{
    struct timespec before;

    for (long i = 0; i < times; i++) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        put(there);
        get(back);
        each[i] = since(&before);
    }
}

static void send_all(long times)
{
    for (long i = 0; i < times; i++)
        put(there);
}

static void receive_all(long times)
{
    for (long i = 0; i < times; i++)
        get(there);
}

/* Do `mine` here, and `theirs` in `crowd` other processes that share the work. */
static void with_others(void (*mine)(long), void (*theirs)(long), int crowd, long times)
{
    int line[2];
    char byte = 0;

    if (pipe(line) < 0)
        stop("pipe");
    for (int i = 0; i < crowd; i++) {
        pid_t child = fork();

        if (child < 0)
            stop("fork");
        if (child == 0) {
            if (write(line[1], &byte, 1) != 1)
                stop("write");
            theirs(times / crowd);
            _exit(0);
        }
    }
    for (int i = 0; i < crowd; i++)
        if (read(line[0], &byte, 1) != 1)
            stop("read");
    close(line[0]);
    close(line[1]);
    clock_gettime(CLOCK_MONOTONIC, &start);
    mine(times / crowd * crowd);
    while (wait(NULL) > 0)
        ;
}

static void ping_pong(long times)
{
    with_others(ask, answer, 1, times);
}

static void each_ping_pong(long times)
{
    make_room_for_each(times);
    with_others(ask_each, answer, 1, times);
}

static void one_way(long times)
{
    with_others(send_all, receive_all, 1, times);
}

static void many_to_one(long times)
{
    with_others(receive_all, send_all, CROWD, times);
}

static void one_to_many(long times)
{
    with_others(send_all, receive_all, CROWD, times);
}

/* ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*work)(long);
} questions[] = {
    {"pairs", pairs},
    {"each pair", each_pair},
    {"batches", batches},
    {"refused receives", refused_receives},
    {"refused sends", refused_sends},
    {"opens", opens},
    {"creations", creations},
    {"attributes", attributes},
    {"blocks", blocks},
    {"signals", signals},
    {"callbacks", callbacks},
    {"threads", threads},
    {"one apart", one_apart},
    {"two apart", two_apart},
    {"ping-pong", ping_pong},
    {"each ping-pong", each_ping_pong},
    {"one way", one_way},
    {"many to one", many_to_one},
    {"one to many", one_to_many},
};

int main(int argc, char **argv)
{
    const size_t count = sizeof questions / sizeof questions[0];
    struct timespec end;
    char line[32];
    size_t question = 0;

    if (argc != 6) {
        fprintf(stderr, "usage: %s QUESTION SIZE MAX_MESSAGES MAX_MESSAGE_SIZE SECONDS\n", argv[0]);
        return 2;
    }
    while (question < count && strcmp(questions[question].name, argv[1]) != 0)
        question++;
    if (question == count) {
        fprintf(stderr, "%s: no such question: %s\n", argv[0], argv[1]);
        return 2;
    }
    size = strtoul(argv[2], NULL, 10);
    room_size = strtoul(argv[4], NULL, 10);
    seconds = strtol(argv[5], NULL, 10);
    there = make_queue("there", strtol(argv[3], NULL, 10));
    if (strstr(argv[1], "ping-pong") != NULL)
        back = make_queue("back", strtol(argv[3], NULL, 10));
    room = calloc(1, room_size);
    if (room == NULL)
        stop("calloc");
    sem_init(&called, 0, 0);
    if (strcmp(argv[1], "refused sends") == 0)
        for (long i = 0; i < strtol(argv[3], NULL, 10); i++)
            put(there);
    snprintf(spare_name, sizeof spare_name, "/bench-loop-%ld", (long)getpid());
    if (strcmp(argv[1], "opens") == 0) {
        struct mq_attr small = {.mq_maxmsg = 1, .mq_msgsize = 1};

        mq_close(open_queue(spare_name, O_CREAT | O_EXCL | O_RDWR, &small));
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        long times = strtol(line, NULL, 10);

        questions[question].work(times / 16 + CROWD); /* woken just now: warm up */
        clock_gettime(CLOCK_MONOTONIC, &start);
        questions[question].work(times);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%.2f",
               ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
                   (double)times);
        for (long i = 0; each != NULL && i < times; i++)
            printf(" %ld", each[i]);
        printf("\n");
        fflush(stdout);
    }
    if (strcmp(argv[1], "opens") == 0)
        mq_unlink(spare_name);
    return 0;
}
