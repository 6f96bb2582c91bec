/* early-lamp: the lamp's first sign, from the initrd on: the booth is starting, or neither of its slots can be started.
 *
 *   early-lamp CHIP LINE [active-low] starting|dead
 *
 * CHIP is a device of the kernel's GPIO character device, or "-" for the Raspberry Pi's header, by the label as booth-gateway finds it
 * (src/adapters/handset_cdev.rs); LINE is the line's number there. It waits up to 15 s for the chip, whose driver may come later,
 * claims the line, blinks until SIGTERM or SIGINT, leaves the lamp dark and the line free. "starting" is that of the gateway,
 * a second on and a second off; "dead" is three long flashes and a pause. Ends with 1 and a sentence if the line cannot be had.
 *
 * It never reads a file, and never takes a line that somebody holds. Needs Linux 5.10 (GPIO uAPI v2) and nothing beside libc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CHIPS = 32, MOST_LINES = 1024, TRIES = 150, TRY_EVERY_MS = 100 };

/* Times in ms, lit and dark in turns. */
struct pattern {
    const char *name;
    int parts, ms[6];
};
static const struct pattern patterns[] = {
    {"starting", 2, {1000, 1000}},
    {"dead", 6, {600, 400, 600, 400, 600, 2400}},
};

static volatile sig_atomic_t is_over;

static void end(int signal) {
    (void)signal;
    is_over = 1;
}

/* Sleeps, or ends early with a signal that ends the program. */
static void sleep_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (!is_over && nanosleep(&left, &left) < 0 && errno == EINTR) {}
}

/* An open chip, or -1 with errno. */
static int open_chip(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }

/* The header's chip, or -1. */
static int find_chip(void) {
    for (int n = 0; n < MOST_CHIPS; n++) {
        char path[32];
        struct gpiochip_info info;
        snprintf(path, sizeof path, "/dev/gpiochip%d", n);
        int chip = open_chip(path);
        if (chip < 0) continue;
        memset(&info, 0, sizeof info);
        if (ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &info) == 0 &&
            (strncmp(info.label, "pinctrl-", 8) == 0 || strncmp(info.label, "gpio-sim", 8) == 0))
            return chip;
        close(chip);
    }
    errno = ENODEV;
    return -1;
}

/* The line as a dark output, or -1 with errno. */
static int claim(int chip, unsigned line, int is_active_low) {
    struct gpio_v2_line_request request;
    memset(&request, 0, sizeof request);
    request.offsets[0] = line;
    request.num_lines = 1;
    strcpy(request.consumer, "booth early-lamp");
    request.config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
    request.config.num_attrs = 1;
    request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    request.config.attrs[0].attr.values = (uint64_t)is_active_low;
    request.config.attrs[0].mask = 1;
    return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0 ? -1 : request.fd;
}

static int light(int line, int is_lit, int is_active_low) {
    struct gpio_v2_line_values values = {.bits = is_lit != is_active_low, .mask = 1};
    return ioctl(line, GPIO_V2_LINE_SET_VALUES_IOCTL, &values);
}

static int usage(void) {
    fprintf(stderr, "use: early-lamp CHIP|- LINE [active-low] starting|dead\n");
    return 2;
}

int main(int count, char **words) {
    if (count != 4 && count != 5) return usage();
    int is_active_low = count == 5;
    if (is_active_low && strcmp(words[3], "active-low") != 0) return usage();
    char *rest;
    unsigned long number = strtoul(words[2], &rest, 10);
    if (words[2][0] < '0' || words[2][0] > '9' || *rest || number >= MOST_LINES) return usage();
    const struct pattern *pattern = NULL;
    for (size_t n = 0; n < sizeof patterns / sizeof *patterns; n++)
        if (strcmp(words[count - 1], patterns[n].name) == 0) pattern = &patterns[n];
    if (!pattern) return usage();

    struct sigaction ends;
    memset(&ends, 0, sizeof ends);
    ends.sa_handler = end;
    sigaction(SIGTERM, &ends, NULL);
    sigaction(SIGINT, &ends, NULL);
    signal(SIGHUP, SIG_IGN);

    int line = -1;
    for (int tries = 0; !is_over && line < 0; tries++) {
        int chip = strcmp(words[1], "-") == 0 ? find_chip() : open_chip(words[1]);
        if (chip >= 0) {
            line = claim(chip, (unsigned)number, is_active_low);
            int error = errno;
            close(chip);
            errno = error;
            /* A chip that is there and refuses will not change its mind. */
            if (line < 0) break;
        } else if (tries >= TRIES) {
            break;
        } else {
            sleep_ms(TRY_EVERY_MS);
        }
    }
    if (is_over && line < 0) return 0;
    if (line < 0) {
        fprintf(stderr, "early-lamp: GPIO line %lu of %s cannot be had: %s\n", number, words[1], strerror(errno));
        return 1;
    }
    for (int part = 0; !is_over; part = (part + 1) % pattern->parts) {
        if (light(line, part % 2 == 0, is_active_low) < 0) {
            fprintf(stderr, "early-lamp: GPIO line %lu cannot be switched: %s\n", number, strerror(errno));
            return 1;
        }
        sleep_ms(pattern->ms[part]);
    }
    light(line, 0, is_active_low);
    return 0;
}
