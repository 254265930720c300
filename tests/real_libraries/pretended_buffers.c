/* Contiguous memory for a camera where the kernel has none to give.
 *
 * On a Pi, picamera2 has its frame buffers from /dev/dma_heap: a device that hands out memory as
 * file descriptors. Loaded before the C library (LD_PRELOAD), this answers for that device with
 * ordinary memory, also by file descriptor. What it doesn't pretend: that such memory is scarce.
 *
 *     gcc -shared -fPIC -Wall -o pretended_buffers.so pretended_buffers.c
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const char HEAPS[] = "/dev/dma_heap/";

static int is_a_heap(const char *path)
{
    return path && strncmp(path, HEAPS, sizeof HEAPS - 1) == 0;
}

/* The heap itself only has to be something that can be closed. */
static int open_heap(void)
{
    return memfd_create("pretended heap", MFD_CLOEXEC);
}

typedef int open_function(const char *, int, ...);

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (is_a_heap(path))
        return open_heap();
    return ((open_function *)dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (is_a_heap(path))
        return open_heap();
    return ((open_function *)dlsym(RTLD_NEXT, "open64"))(path, flags, mode);
}

static int give_memory(struct dma_heap_allocation_data *wanted)
{
    int memory = memfd_create("pretended buffer", MFD_CLOEXEC);
    if (memory < 0)
        return -1;
    if (ftruncate(memory, (off_t)wanted->len) < 0) {
        close(memory);
        errno = ENOMEM;
        return -1;
    }
    wanted->fd = (unsigned)memory;
    return 0;
}

/* musl and glibc disagree about the type of a request; its low 32 bits are what the kernel reads. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    switch ((unsigned)request) {
    case (unsigned)DMA_HEAP_IOCTL_ALLOC:
        return give_memory(argument);
    case (unsigned)DMA_BUF_IOCTL_SYNC: /* one cache for all here: nothing to flush */
    case (unsigned)DMA_BUF_SET_NAME_A:
    case (unsigned)DMA_BUF_SET_NAME_B:
        return 0;
    }
    return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(fd, request, argument);
}
