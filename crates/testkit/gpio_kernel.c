/* gpio_kernel.c: what lies below rppal and gpiocdev, for tests: a GPIO chip of the kernel's character device (uAPI v2) and
 * the registers of a Raspberry Pi, loaded into a process by LD_PRELOAD, on x86-64 Linux.
 *
 * Owns: the levels of the lines, out of what is outside (contacts, keys), the pulls and what the process drives; the edges
 * that come of them, with the kernel's stamps, order and queue length; who holds a line. Never does: anything to another
 * file. The registers (BCM2835, BCM2711, RP1) are a page that may not be touched: each access traps, is carried out, and
 * takes effect before the next instruction, so that no write is missed however fast they come.
 *
 * The test steers it by lines on a socket:
 *   burst AT:LINE:LEVEL ...   contacts move, AT in microseconds after the moment that is answered, in order. The reader is
 *                             held in its wait until all have happened, as a thread that runs late; "!" after an edge
 *                             loses it, as a queue that ran over does. LEVEL is 0, 1 or f (open, the pull decides).
 *   now LINE:LEVEL            one contact moves, and nobody is held
 *   keys ROW:COLUMN ...       these keys of the matrix are closed, by numbers of their lines
 *   line N                    what is asked of a line
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 54, REQUESTS = 64, FDS = 1024, KEYS = 12, OFF = 0, DOWN = 1, UP = 2, FLOATS = -1 };
enum { NOT_OURS, CHIP, MEMORY, EPOLL };

struct line {
    int outside;  /* 0, 1 or FLOATS */
    int pull;     /* OFF, DOWN, UP */
    int is_output, latch, open_drain;
    int level;
    int request;  /* -1: nobody's */
    uint32_t seqno;
};
struct request {
    int fd, writer, lines, offsets[GPIO_V2_LINES_MAX];
    uint64_t flags[GPIO_V2_LINES_MAX];
    char consumer[GPIO_MAX_NAME_SIZE];
    uint32_t seqno;
    int queue;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct line lines[LINES];
static struct request requests[REQUESTS];
static int keys[KEYS][2], key_count;
static char kinds[FDS];
static uint64_t held; /* lines of another driver */
static int waiting, is_held;
static uint64_t bursts;
static int model; /* 3, 4, 5: of the Raspberry Pi; 0: none */

/* The registers. */
static uint8_t *memory;
static size_t memory_size;
static uint32_t pud, pud_control[4], control[28], pads[29], rio_out, rio_oe;

static uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- levels and edges ---- */

static void queue_edge(int n, int level, uint64_t at_ns, int is_lost) {
    if (lines[n].request < 0) return;
    struct request *r = &requests[lines[n].request];
    int i = 0;
    while (r->offsets[i] != n) i++;
    if (!(r->flags[i] & (level ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING))) return;
    struct gpio_v2_line_event event = {
        .timestamp_ns = at_ns,
        .id = level ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
        .offset = (uint32_t)n,
        .seqno = ++r->seqno,
        .line_seqno = ++lines[n].seqno,
    };
    if (is_lost) return;
    int queued = 0;
    ioctl(r->fd, FIONREAD, &queued);
    struct gpio_v2_line_event oldest;
    /* A full queue loses its oldest edge (drivers/gpio/gpiolib-cdev.c). */
    if (queued / (int)sizeof event >= r->queue && read(r->fd, &oldest, sizeof oldest) < 0) return;
    if (write(r->writer, &event, sizeof event) < 0) return;
}

static int drives(const struct line *l) { return l->is_output && !(l->open_drain && l->latch); }

/* Lines that closed keys connect have one level: whoever drives low wins, then high, then the pulls. */
static void settle(uint64_t at_ns, int lose) {
    int net[LINES];
    for (int n = 0; n < LINES; n++) net[n] = n;
    for (int k = 0; k < key_count; k++) {
        int from = net[keys[k][0]], to = net[keys[k][1]];
        for (int n = 0; n < LINES; n++)
            if (net[n] == from) net[n] = to;
    }
    int level[LINES];
    for (int n = 0; n < LINES; n++) {
        int low = 0, high = 0, up = 0, down = 0;
        for (int m = 0; m < LINES; m++) {
            if (net[m] != net[n]) continue;
            const struct line *l = &lines[m];
            if (drives(l)) *(l->latch ? &high : &low) = 1;
            else if (l->outside != FLOATS) *(l->outside ? &high : &low) = 1;
            up |= l->pull == UP;
            down |= l->pull == DOWN;
        }
        level[n] = low ? 0 : high ? 1 : up ? 1 : down ? 0 : lines[n].level;
    }
    for (int n = 0; n < LINES; n++) {
        if (level[n] == lines[n].level) continue;
        lines[n].level = level[n];
        queue_edge(n, level[n], at_ns, lose == n);
    }
}

static void set_direction(int n, int is_output) {
    lines[n].is_output = is_output;
    if (model == 5 && n < 28) {
        control[n] = (control[n] & ~0x1fu) | 5;
        pads[n] = (pads[n] | 0x40) & ~0x80u;
        rio_oe = is_output ? rio_oe | 1u << n : rio_oe & ~(1u << n);
    }
}

/* ---- registers ---- */

static uint32_t bits_of_levels(int from) {
    uint32_t bits = 0;
    for (int n = from; n < from + 32 && n < LINES; n++) bits |= (uint32_t)lines[n].level << (n - from);
    return bits;
}

static uint32_t bcm_read(size_t at) {
    uint32_t word = 0;
    if (at < 0x18)
        for (int i = 0, n = (int)at / 4 * 10; i < 10 && n + i < LINES; i++)
            word |= (uint32_t)lines[n + i].is_output << 3 * i;
    else if (at == 0x34 || at == 0x38) word = bits_of_levels(at == 0x34 ? 0 : 32);
    else if (at == 0x94) word = pud;
    else if (at >= 0xe4 && at < 0xf4) word = pud_control[(at - 0xe4) / 4];
    return word;
}

static void bcm_write(size_t at, uint32_t word) {
    if (at < 0x18) {
        for (int i = 0, n = (int)at / 4 * 10; i < 10 && n + i < LINES; i++)
            lines[n + i].is_output = (word >> 3 * i & 7) == 1;
    } else if (at == 0x1c || at == 0x20 || at == 0x28 || at == 0x2c) {
        int from = at == 0x20 || at == 0x2c ? 32 : 0;
        for (int i = 0; i < 32 && from + i < LINES; i++)
            if (word >> i & 1) lines[from + i].latch = at < 0x28;
    } else if (at == 0x94) {
        pud = word;
    } else if ((at == 0x98 || at == 0x9c) && model == 3) {
        int from = at == 0x98 ? 0 : 32;
        for (int i = 0; i < 32 && from + i < LINES; i++)
            if (word >> i & 1) lines[from + i].pull = (int)(pud & 3);
    } else if (at >= 0xe4 && at < 0xf4 && model == 4) {
        int index = (int)(at - 0xe4) / 4;
        pud_control[index] = word;
        for (int i = 0; i < 16 && index * 16 + i < LINES; i++) {
            int bits = (int)(word >> 2 * i & 3); /* 1 is up, 2 is down: the other way round than before */
            lines[index * 16 + i].pull = bits == 1 ? UP : bits == 2 ? DOWN : OFF;
        }
    }
}

/* RP1: each block has its registers at +0, and what is written at +0x1000 is xored, at +0x2000 set, at +0x3000 cleared. */
static uint32_t *rp1_word(size_t at) {
    size_t block = at & ~(size_t)0x3fff, word = at & 0xfff;
    if (block == 0 && word % 8 == 4 && word / 8 < 28) return &control[word / 8];
    if (block == 0x10000 && word == 0) return &rio_out;
    if (block == 0x10000 && word == 4) return &rio_oe;
    if (block == 0x20000 && word / 4 < 29 && word >= 4) return &pads[word / 4 - 1];
    return NULL;
}

static uint32_t rp1_read(size_t at) {
    uint32_t bits = 0;
    if ((at & ~(size_t)0x3fff) == 0x10000 && (at & 0xfff) == 8) {
        for (int n = 0; n < 28; n++)
            if (pads[n] & 0x40) bits |= (uint32_t)lines[n].level << n;
        return bits;
    }
    uint32_t *word = rp1_word(at);
    return word && !(at & 0x3000) ? *word : 0;
}

static void rp1_write(size_t at, uint32_t word) {
    uint32_t *into = rp1_word(at);
    if (!into) return;
    switch (at & 0x3000) {
    case 0x0000: *into = word; break;
    case 0x1000: *into ^= word; break;
    case 0x2000: *into |= word; break;
    default: *into &= ~word;
    }
    for (int n = 0; n < 28; n++) {
        lines[n].is_output = (rio_oe >> n & 1) && (control[n] & 0x1f) == 5 && !(pads[n] & 0x80);
        lines[n].latch = (int)(rio_out >> n & 1);
        int bits = (int)(pads[n] >> 2 & 3);
        lines[n].pull = bits == 2 ? UP : bits == 1 ? DOWN : OFF;
    }
}

static struct sigaction before_us;
static __thread uint8_t *touched;
static __thread uint32_t as_it_was;

/* A register is touched: let the one instruction through, on the register as it is now. */
static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    uint8_t *at = info->si_addr;
    if (at < memory || at >= memory + memory_size) {
        sigaction(SIGSEGV, &before_us, NULL); /* somebody else's: it faults once more */
        return;
    }
    pthread_mutex_lock(&mutex);
    touched = (uint8_t *)((uintptr_t)at & ~(uintptr_t)3);
    size_t offset = (size_t)(touched - memory);
    mprotect((void *)((uintptr_t)at & ~(uintptr_t)4095), 4096, PROT_READ | PROT_WRITE);
    as_it_was = model == 5 ? rp1_read(offset) : bcm_read(offset);
    memcpy(touched, &as_it_was, 4);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= 0x100; /* trap after one instruction */
}

static void on_step(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    uint32_t word;
    memcpy(&word, touched, 4);
    if (word != as_it_was) {
        size_t offset = (size_t)(touched - memory);
        if (model == 5) rp1_write(offset, word);
        else bcm_write(offset, word);
        settle(monotonic_ns(), -1);
    }
    mprotect((void *)((uintptr_t)touched & ~(uintptr_t)4095), 4096, PROT_NONE);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    pthread_mutex_unlock(&mutex);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    if (fd < 0 || fd >= FDS || kinds[fd] != MEMORY)
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    memory_size = (length + 4095) & ~(size_t)4095;
    memory = (uint8_t *)syscall(SYS_mmap, NULL, memory_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &fault, &before_us);
    sigaction(SIGTRAP, &step, NULL);
    return memory;
}

/* ---- files ---- */

static int is_missing(const char *what) {
    const char *missing = getenv("GPIO_KERNEL_WITHOUT");
    return missing && strcmp(missing, what) == 0;
}

/* Its kind if the file is one of ours, NOT_OURS if not, -1 if there is none. */
static int kind_of(const char *path) {
    if (strcmp(path, "/dev/gpiochip0") == 0) return is_missing("chip") ? -1 : CHIP;
    if (strcmp(path, "/dev/mem") == 0) return -1; /* rppal's second choice: this machine's own memory */
    if (model && strcmp(path, model == 5 ? "/dev/gpiomem0" : "/dev/gpiomem") == 0)
        return is_missing("memory") ? -1 : MEMORY;
    return NOT_OURS;
}

static int open_ours(const char *path, int flags, mode_t mode) {
    if (model && strcmp(path, "/proc/cpuinfo") == 0) {
        const char *text = model == 3   ? "Revision\t: a02082\n"
                           : model == 4 ? "Revision\t: c03111\n"
                                        : "Revision\t: c04170\n";
        int fd = memfd_create("cpuinfo", 0);
        if (write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0) abort();
        return fd;
    }
    int kind = kind_of(path);
    if (kind < 0) {
        errno = ENOENT;
        return -1;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, kind ? "/dev/null" : path, flags, mode);
    if (kind && fd >= 0 && fd < FDS) kinds[fd] = (char)kind;
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_ours(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_ours(path, flags, mode);
}

char *realpath(const char *path, char *into) {
    if (kind_of(path) == CHIP) return into ? strcpy(into, path) : strdup(path);
    char *found = canonicalize_file_name(path);
    if (!found || !into) return found;
    strcpy(into, found);
    free(found);
    return into;
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&mutex);
        kinds[fd] = NOT_OURS;
        for (int i = 0; i < REQUESTS; i++) {
            struct request *r = &requests[i];
            if (!r->lines || r->fd != fd) continue;
            for (int n = 0; n < r->lines; n++) lines[r->offsets[n]].request = -1;
            syscall(SYS_close, r->writer);
            r->lines = 0;
        }
        pthread_mutex_unlock(&mutex);
    }
    return (int)syscall(SYS_close, fd);
}

/* ---- the character device ---- */

static struct request *request_of(int fd) {
    for (int i = 0; i < REQUESTS; i++)
        if (requests[i].lines && requests[i].fd == fd) return &requests[i];
    return NULL;
}

static int get_line(struct gpio_v2_line_request *wanted) {
    uint64_t known = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
                     GPIO_V2_LINE_FLAG_EDGE_FALLING | GPIO_V2_LINE_FLAG_OPEN_DRAIN | GPIO_V2_LINE_FLAG_BIAS_PULL_UP |
                     GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN | GPIO_V2_LINE_FLAG_BIAS_DISABLED;
    int count = (int)wanted->num_lines, at = 0;
    if (count < 1 || count > GPIO_V2_LINES_MAX) return EINVAL;
    while (at < REQUESTS && requests[at].lines) at++;
    if (at == REQUESTS) return ENOMEM;
    struct request *r = &requests[at];
    uint64_t values = 0;
    for (int i = 0; i < count; i++) {
        r->offsets[i] = (int)wanted->offsets[i];
        if (wanted->offsets[i] >= LINES) return EINVAL;
        if (lines[r->offsets[i]].request >= 0 || held >> r->offsets[i] & 1) return EBUSY;
        r->flags[i] = wanted->config.flags;
    }
    for (uint32_t a = 0; a < wanted->config.num_attrs; a++) {
        struct gpio_v2_line_config_attribute *attribute = &wanted->config.attrs[a];
        if (attribute->attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES) values = attribute->attr.values & attribute->mask;
        else if (attribute->attr.id != GPIO_V2_LINE_ATTR_ID_FLAGS) return EINVAL;
        else
            for (int i = 0; i < count; i++)
                if (attribute->mask >> i & 1) r->flags[i] = attribute->attr.flags;
    }
    for (int i = 0; i < count; i++)
        if (r->flags[i] & ~known || !(r->flags[i] & (GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_OUTPUT))) return EINVAL;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return errno;
    r->fd = ends[0], r->writer = ends[1], r->seqno = 0;
    r->queue = wanted->event_buffer_size ? (int)wanted->event_buffer_size : count * 16;
    memcpy(r->consumer, wanted->consumer, sizeof r->consumer);
    for (int i = 0; i < count; i++) {
        struct line *l = &lines[r->offsets[i]];
        l->seqno = 0;
        if (r->flags[i] & GPIO_V2_LINE_FLAG_BIAS_PULL_UP) l->pull = UP;
        if (r->flags[i] & GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN) l->pull = DOWN;
        if (r->flags[i] & GPIO_V2_LINE_FLAG_BIAS_DISABLED) l->pull = OFF;
        l->open_drain = (r->flags[i] & GPIO_V2_LINE_FLAG_OPEN_DRAIN) != 0;
        if (r->flags[i] & GPIO_V2_LINE_FLAG_OUTPUT) l->latch = (int)(values >> i & 1);
        set_direction(r->offsets[i], (r->flags[i] & GPIO_V2_LINE_FLAG_OUTPUT) != 0);
    }
    settle(monotonic_ns(), -1);
    for (int i = 0; i < count; i++) lines[r->offsets[i]].request = at;
    r->lines = count;
    wanted->fd = r->fd;
    return 0;
}

static int ours(int fd, unsigned long what, void *argument, int *errno_out) {
    struct request *r = request_of(fd);
    if (fd >= 0 && fd < FDS && kinds[fd] == CHIP) {
        if (what == GPIO_GET_CHIPINFO_IOCTL) {
            struct gpiochip_info *info = argument;
            memset(info, 0, sizeof *info);
            strcpy(info->name, "gpiochip0");
            strcpy(info->label, model == 3 ? "pinctrl-bcm2835" : model == 4 ? "pinctrl-bcm2711" : "pinctrl-rp1");
            info->lines = LINES;
            *errno_out = 0;
        } else if (what == GPIO_V2_GET_LINEINFO_IOCTL) {
            struct gpio_v2_line_info *info = argument;
            uint32_t n = info->offset;
            memset(info, 0, sizeof *info);
            info->offset = n;
            *errno_out = n < LINES ? 0 : EINVAL;
            if (n >= LINES) return 1;
            sprintf(info->name, "GPIO%u", n);
            info->flags = lines[n].is_output ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
            if (held >> n & 1) strcpy(info->consumer, "another driver");
            if (lines[n].request >= 0) strcpy(info->consumer, requests[lines[n].request].consumer);
            if (info->consumer[0]) info->flags |= GPIO_V2_LINE_FLAG_USED;
        } else {
            *errno_out = what == GPIO_V2_GET_LINE_IOCTL ? get_line(argument) : ENOTTY;
        }
        return 1;
    }
    if (!r) return 0;
    struct gpio_v2_line_values *values = argument;
    if (what == GPIO_V2_LINE_GET_VALUES_IOCTL) {
        values->bits = 0;
        for (int i = 0; i < r->lines; i++)
            if (values->mask >> i & 1) values->bits |= (uint64_t)lines[r->offsets[i]].level << i;
        *errno_out = 0;
    } else if (what == GPIO_V2_LINE_SET_VALUES_IOCTL) {
        for (int i = 0; i < r->lines; i++)
            if (values->mask >> i & 1) lines[r->offsets[i]].latch = (int)(values->bits >> i & 1);
        settle(monotonic_ns(), -1);
        *errno_out = 0;
    } else if (what == FIONREAD || what == TCGETS) {
        return 0;
    } else {
        *errno_out = ENOTTY;
    }
    return 1;
}

int ioctl(int fd, unsigned long what, ...) {
    va_list rest;
    va_start(rest, what);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if ((what >> 8 & 0xff) != 0xb4) return (int)syscall(SYS_ioctl, fd, what, argument);
    int error = 0;
    pthread_mutex_lock(&mutex);
    int is_ours = ours(fd, what, argument, &error);
    pthread_mutex_unlock(&mutex);
    if (!is_ours) return (int)syscall(SYS_ioctl, fd, what, argument);
    errno = error;
    return error ? -1 : 0;
}

/* ---- waiting: who waits for edges can be held there ---- */

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
    pthread_mutex_lock(&mutex);
    if (epoll >= 0 && epoll < FDS && request_of(fd)) kinds[epoll] = EPOLL;
    pthread_mutex_unlock(&mutex);
    return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

static uint64_t begin_wait(void) {
    pthread_mutex_lock(&mutex);
    waiting++;
    uint64_t before = bursts;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return before;
}

/* Whether there was a burst meanwhile. */
static int end_wait(uint64_t before) {
    int error = errno;
    pthread_mutex_lock(&mutex);
    while (is_held) pthread_cond_wait(&changed, &mutex);
    waiting--;
    int there_was = bursts != before;
    pthread_mutex_unlock(&mutex);
    errno = error;
    return there_was;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms) {
    if (epoll < 0 || epoll >= FDS || kinds[epoll] != EPOLL)
        return (int)syscall(SYS_epoll_wait, epoll, events, most, timeout_ms);
    for (;; timeout_ms = 0) {
        uint64_t before = begin_wait();
        int found = (int)syscall(SYS_epoll_wait, epoll, events, most, timeout_ms);
        if (!end_wait(before) || found) return found;
    }
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    pthread_mutex_lock(&mutex);
    int is_ours = count > 0 && request_of(fds->fd);
    pthread_mutex_unlock(&mutex);
    struct timespec patience = timeout ? *timeout : (struct timespec){0, 0}; /* the kernel writes into it */
    for (;; patience = (struct timespec){0, 0}) {
        uint64_t before = is_ours ? begin_wait() : 0;
        int found = (int)syscall(SYS_ppoll, fds, count, timeout ? &patience : NULL, mask, 8);
        if (!is_ours || !end_wait(before) || found) return found;
    }
}

/* ---- what the test says ---- */

/* Whoever waits has read all that came before. */
static int is_quiet(void) {
    for (int i = 0; i < REQUESTS; i++) {
        int queued = 0;
        if (requests[i].lines && ioctl(requests[i].fd, FIONREAD, &queued) == 0 && queued) return 0;
    }
    return waiting;
}

static int outside_of(char c) { return c == 'f' ? FLOATS : c == '1'; }

static void burst(const char *words, char *answer) {
    pthread_mutex_lock(&mutex);
    while (!is_quiet()) pthread_cond_wait(&changed, &mutex);
    is_held = 1;
    pthread_mutex_unlock(&mutex);
    uint64_t began = monotonic_ns(), last = 0;
    unsigned long long us;
    int n, length;
    char level;
    for (const char *w = words; sscanf(w, " %llu:%d:%c%n", &us, &n, &level, &length) == 3; w += length + (w[length] == '!'))
        last = us;
    uint64_t end = began + last * 1000;
    struct timespec until = {(time_t)(end / 1000000000), (long)(end % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
    pthread_mutex_lock(&mutex);
    for (const char *w = words; sscanf(w, " %llu:%d:%c%n", &us, &n, &level, &length) == 3;) {
        w += length;
        int is_lost = *w == '!';
        w += is_lost;
        if (n < 0 || n >= LINES) continue;
        lines[n].outside = outside_of(level);
        settle(began + us * 1000, is_lost ? n : -1);
    }
    is_held = 0;
    bursts++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    sprintf(answer, "%llu\n", (unsigned long long)began);
}

static void obey(char *text, char *answer) {
    int n, column, length;
    char level;
    strcpy(answer, "not understood\n");
    if (strncmp(text, "burst ", 6) == 0) {
        burst(text + 6, answer);
    } else if (sscanf(text, "now %d:%c", &n, &level) == 2 && n >= 0 && n < LINES) {
        pthread_mutex_lock(&mutex);
        uint64_t at = monotonic_ns();
        lines[n].outside = outside_of(level);
        settle(at, -1);
        pthread_mutex_unlock(&mutex);
        sprintf(answer, "%llu\n", (unsigned long long)at);
    } else if (strncmp(text, "keys", 4) == 0) {
        pthread_mutex_lock(&mutex);
        key_count = 0;
        for (const char *w = text + 4; sscanf(w, " %d:%d%n", &n, &column, &length) == 2 && key_count < KEYS; w += length) {
            keys[key_count][0] = n, keys[key_count][1] = column;
            key_count++;
        }
        settle(monotonic_ns(), -1);
        pthread_mutex_unlock(&mutex);
        strcpy(answer, "ok\n");
    } else if (sscanf(text, "line %d", &n) == 1 && n >= 0 && n < LINES) {
        pthread_mutex_lock(&mutex);
        const struct line *l = &lines[n];
        const char *pulls[] = {"none", "down", "up"};
        sprintf(answer, "%s level=%d pull=%s claimed=%d\n", l->is_output ? "output" : "input", l->level, pulls[l->pull],
                l->request >= 0);
        pthread_mutex_unlock(&mutex);
    }
}

static void *serve(void *socket_name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, socket_name, sizeof address.sun_path - 1);
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(door, (struct sockaddr *)&address, sizeof address) < 0 || listen(door, 1) < 0) abort();
    int test = accept(door, NULL, NULL);
    FILE *words = fdopen(test, "r");
    static char text[1 << 20], answer[256];
    while (words && fgets(text, sizeof text, words)) {
        obey(text, answer);
        if (write(test, answer, strlen(answer)) < 0) break;
    }
    _exit(0); /* the test has gone */
}

__attribute__((constructor)) static void start(void) {
    const char *socket_name = getenv("GPIO_KERNEL"), *of_pi = getenv("GPIO_KERNEL_MODEL"), *levels = getenv("GPIO_KERNEL_LEVELS");
    const char *by_another = getenv("GPIO_KERNEL_HELD");
    int n, length;
    char level;
    model = of_pi ? atoi(of_pi) : 0;
    for (n = 0; n < LINES; n++) lines[n].outside = FLOATS, lines[n].request = -1;
    for (n = 0; n < 28; n++) pads[n] = 0x80, control[n] = 31;
    for (const char *w = levels; w && sscanf(w, " %d:%c%n", &n, &level, &length) == 2; w += length)
        lines[n].outside = outside_of(level), lines[n].level = level == '1';
    for (const char *w = by_another; w && sscanf(w, " %d%n", &n, &length) == 1; w += length) held |= 1ull << n;
    if (!socket_name) return;
    pthread_t thread;
    pthread_create(&thread, NULL, serve, (void *)socket_name);
}
