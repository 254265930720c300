/* A chip with 54 pins where the kernel has none: /dev/gpiochip0, as a Raspberry Pi 4 would show it.
 *
 * Loaded before the C library (LD_PRELOAD), this answers the few calls by which lgpio drives pins.
 * The pins themselves lie in a file that is mapped by whoever takes part ($PRETENDED_CHIP): every
 * process that holds pins, and the test, which looks at lamps and presses buttons.
 *
 * A held line is a lock on its byte of that file, so that the kernel itself lets go of it when its
 * holder dies, however it dies, as it does with a real line.
 *
 *     gcc -shared -fPIC -O2 -Wall -pthread -o pretended_chip.so pretended_chip.c
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* -------- The file. chip.py reads and writes the same; keep both alike. */

enum { LINES = 64, EDGES = 1 << 18 };
enum mode { INPUT, OUTPUT };
enum pull { FLOATING, DOWN, UP };
enum drive { NOBODY, TO_GROUND, TO_3V3 }; /* what the world outside does to a pin */

struct line {
    _Atomic uint8_t mode, output, pull, drive;
};

struct edge {
    uint64_t at_ns; /* CLOCK_MONOTONIC */
    uint32_t line, level;
};

struct chip {
    struct line lines[LINES];
    _Atomic uint64_t edges_so_far;
    struct edge edges[EDGES];
};

static struct chip *chip;

/* -------- What one process holds of it. */

enum { HELD = 64, CHIPS_OPEN = 8, PINS_OF_A_PI = 54 };
static const char DEVICE[] = "/dev/gpiochip";

/* Between two looks at the inputs: a contact's chatter is slower. */
static const struct timespec LOOK = {.tv_nsec = 100 * 1000};

struct request {
    int fd;   /* what lgpio has; events are read from it. 0: this place is free */
    int tell; /* its other end */
    int lock;
    unsigned count, lines[GPIO_V2_LINES_MAX];
    uint64_t flags;
};

static struct request requests[HELD];
static int chips_open[CHIPS_OPEN];
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int is_watching;

typedef int open_function(const char *, int, ...);
typedef int ioctl_function(int, unsigned long, ...);
typedef int close_function(int);

static open_function *real_open, *real_open64;
static ioctl_function *real_ioctl;
static close_function *real_close;

__attribute__((constructor)) static void find_the_real_ones(void)
{
    real_open = (open_function *)dlsym(RTLD_NEXT, "open");
    real_open64 = (open_function *)dlsym(RTLD_NEXT, "open64");
    real_ioctl = (ioctl_function *)dlsym(RTLD_NEXT, "ioctl");
    real_close = (close_function *)dlsym(RTLD_NEXT, "close");
}

static int open_the_file(void)
{
    const char *path = getenv("PRETENDED_CHIP");
    return path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
}

/* -------- Levels. */

static void set_output(unsigned number, unsigned level)
{
    struct line *line = &chip->lines[number];
    if (atomic_exchange(&line->output, level) == level)
        return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t place = atomic_fetch_add(&chip->edges_so_far, 1);
    if (place < EDGES)
        chip->edges[place] = (struct edge){
            .at_ns = now.tv_sec * 1000000000ull + now.tv_nsec, .line = number, .level = level};
}

static unsigned level_of(unsigned number)
{
    struct line *line = &chip->lines[number];
    if (line->mode == OUTPUT)
        return line->output;
    if (line->drive != NOBODY)
        return line->drive == TO_3V3;
    return line->pull == UP; /* one that floats is read as low here; a real one as anything */
}

/* -------- Taking and giving back. */

static int lock_line(int file, unsigned number)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number, .l_len = 1};
    return fcntl(file, F_OFD_SETLK, &whole);
}

static void give_back(struct request *held)
{
    for (unsigned i = 0; i < held->count; i++) {
        set_output(held->lines[i], 0);
        chip->lines[held->lines[i]].mode = INPUT;
    }
    real_close(held->lock);
    real_close(held->tell);
    held->fd = 0;
}

static unsigned asked_level(const struct gpio_v2_line_config *config, unsigned i)
{
    for (unsigned a = 0; a < config->num_attrs; a++) {
        const struct gpio_v2_line_config_attribute *one = &config->attrs[a];
        if (one->attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES && one->mask >> i & 1)
            return one->attr.values >> i & 1;
    }
    return 0;
}

static void configure(unsigned number, const struct gpio_v2_line_config *config, unsigned i)
{
    struct line *line = &chip->lines[number];
    if (config->flags & GPIO_V2_LINE_FLAG_BIAS_PULL_UP)
        line->pull = UP;
    else if (config->flags & GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN)
        line->pull = DOWN;
    else if (config->flags & GPIO_V2_LINE_FLAG_BIAS_DISABLED)
        line->pull = FLOATING;
    if (config->flags & GPIO_V2_LINE_FLAG_OUTPUT) {
        set_output(number, asked_level(config, i));
        line->mode = OUTPUT;
    } else {
        line->mode = INPUT;
    }
}

static void tell(const struct request *held, unsigned number, unsigned level)
{
    uint64_t wanted = level ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING;
    if (!(held->flags & wanted))
        return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct gpio_v2_line_event event = {
        .timestamp_ns = now.tv_sec * 1000000000ull + now.tv_nsec,
        .id = level ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
        .offset = number,
    };
    /* A reader that doesn't keep up misses events, as with the kernel's own short queue. */
    if (write(held->tell, &event, sizeof event) < 0)
        return;
}

/* Tells whoever asked for edges what the world outside does to the inputs. */
static void *watch(void *nothing)
{
    unsigned char last[LINES];
    for (unsigned n = 0; n < LINES; n++)
        last[n] = level_of(n);
    for (;;) {
        nanosleep(&LOOK, NULL);
        pthread_mutex_lock(&guard);
        for (unsigned r = 0; r < HELD; r++)
            for (unsigned i = 0; requests[r].fd && i < requests[r].count; i++) {
                unsigned number = requests[r].lines[i], level = level_of(number);
                if (level == last[number])
                    continue;
                last[number] = level;
                tell(&requests[r], number, level);
            }
        pthread_mutex_unlock(&guard);
    }
    return nothing;
}

static int take(struct gpio_v2_line_request *asked)
{
    int ends[2], lock = open_the_file();
    if (lock < 0)
        return -1;
    for (unsigned i = 0; i < asked->num_lines; i++)
        if (lock_line(lock, asked->offsets[i]) < 0) {
            real_close(lock);
            errno = EBUSY;
            return -1;
        }
    struct request *place = requests;
    while (place < requests + HELD && place->fd)
        place++;
    if (place == requests + HELD || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        real_close(lock);
        errno = ENOMEM;
        return -1;
    }
    *place = (struct request){.fd = ends[0], .tell = ends[1], .lock = lock};
    place->count = asked->num_lines;
    place->flags = asked->config.flags;
    for (unsigned i = 0; i < asked->num_lines; i++) {
        place->lines[i] = asked->offsets[i];
        configure(asked->offsets[i], &asked->config, i);
    }
    if (place->flags & (GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING) &&
        !is_watching) {
        pthread_t thread;
        is_watching = pthread_create(&thread, NULL, watch, NULL) == 0;
    }
    asked->fd = ends[0];
    return 0;
}

/* -------- The calls. */

static int describe_chip(struct gpiochip_info *info)
{
    memset(info, 0, sizeof *info);
    strcpy(info->name, "gpiochip0");
    strcpy(info->label, "pinctrl-bcm2711");
    info->lines = PINS_OF_A_PI;
    return 0;
}

static int describe_line(struct gpio_v2_line_info *info)
{
    unsigned number = info->offset;
    if (number >= PINS_OF_A_PI) {
        errno = EINVAL;
        return -1;
    }
    const struct line *line = &chip->lines[number];
    memset(info, 0, sizeof *info);
    info->offset = number;
    snprintf(info->name, sizeof info->name, "GPIO%u", number);
    info->flags = line->mode == OUTPUT ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
    if (line->pull == UP)
        info->flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_UP;
    if (line->pull == DOWN)
        info->flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN;
    return 0;
}

static int get_values(const struct request *held, struct gpio_v2_line_values *values)
{
    values->bits = 0;
    for (unsigned i = 0; i < held->count; i++)
        if (values->mask >> i & 1)
            values->bits |= (uint64_t)level_of(held->lines[i]) << i;
    return 0;
}

static int set_values(const struct request *held, const struct gpio_v2_line_values *values)
{
    for (unsigned i = 0; i < held->count; i++)
        if (values->mask >> i & 1)
            set_output(held->lines[i], values->bits >> i & 1);
    return 0;
}

static struct request *request_of(int fd)
{
    for (unsigned r = 0; r < HELD; r++)
        if (fd > 0 && requests[r].fd == fd)
            return &requests[r];
    return NULL;
}

static int *chip_of(int fd)
{
    for (unsigned c = 0; c < CHIPS_OPEN; c++)
        if (fd > 0 && chips_open[c] == fd)
            return &chips_open[c];
    return NULL;
}

/* Returns 1 where this was for the chip, with the answer in `done`. */
static int answered(int fd, unsigned request, void *argument, int *done)
{
    const struct request *held = request_of(fd);
    if (chip_of(fd)) {
        if (request == (unsigned)GPIO_GET_CHIPINFO_IOCTL)
            *done = describe_chip(argument);
        else if (request == (unsigned)GPIO_V2_GET_LINEINFO_IOCTL)
            *done = describe_line(argument);
        else if (request == (unsigned)GPIO_V2_GET_LINE_IOCTL)
            *done = take(argument);
        else
            return 0;
        return 1;
    }
    if (held && request == (unsigned)GPIO_V2_LINE_GET_VALUES_IOCTL)
        *done = get_values(held, argument);
    else if (held && request == (unsigned)GPIO_V2_LINE_SET_VALUES_IOCTL)
        *done = set_values(held, argument);
    else
        return 0;
    return 1;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    int done = 0;
    pthread_mutex_lock(&guard);
    /* Only the low 32 bits of a request are its own: callers differ in the type they give it. */
    int ours = answered(fd, (unsigned)request, argument, &done);
    pthread_mutex_unlock(&guard);
    return ours ? done : real_ioctl(fd, request, argument);
}

int close(int fd)
{
    pthread_mutex_lock(&guard);
    struct request *held = request_of(fd);
    int *open_chip = chip_of(fd);
    if (held)
        give_back(held);
    if (open_chip)
        *open_chip = 0;
    pthread_mutex_unlock(&guard);
    return real_close(fd);
}

static int open_the_chip(void)
{
    if (!chip) {
        int file = open_the_file();
        if (file < 0)
            return -1;
        void *mapped = mmap(NULL, sizeof *chip, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        real_close(file);
        if (mapped == MAP_FAILED)
            return -1;
        chip = mapped;
    }
    for (unsigned c = 0; c < CHIPS_OPEN; c++)
        if (!chips_open[c])
            return chips_open[c] = memfd_create("gpiochip0", MFD_CLOEXEC);
    errno = EMFILE;
    return -1;
}

static int is_the_chip(const char *path)
{
    return path && strncmp(path, DEVICE, sizeof DEVICE - 1) == 0;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return is_the_chip(path) ? open_the_chip() : real_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return is_the_chip(path) ? open_the_chip() : real_open64(path, flags, mode);
}
