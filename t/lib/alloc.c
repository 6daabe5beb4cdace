#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *data, size_t size);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *data, size_t size);

static bool fails(void);

static _Thread_local long fail_at;
static _Thread_local bool fail_onwards;
static _Thread_local long count;
static _Thread_local bool failed;
static _Thread_local bool spared;
static _Thread_local long full_at;

void
alloc_fail(long n, bool onwards)
{
    fail_at = n;
    fail_onwards = onwards;
    count = 0;
    failed = false;
}

long
alloc_count(void)
{
    return count;
}

bool
alloc_failed(void)
{
    return failed;
}

void
alloc_spare(bool spare)
{
    spared = spare;
}

void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *data, size_t size)
{
    return fails() ? NULL : __real_realloc(data, size);
}

void
alloc_full(long n)
{
    full_at = n;
}

int
__wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
    if (full_at > 0 && --full_at == 0) {
        return ENOSPC;
    }
    return __real_posix_fallocate(fd, offset, size);
}

static bool
fails(void)
{
    if (spared) {
        return false;
    }
    count++;
    if (fail_at == 0 || count < fail_at || (count > fail_at && !fail_onwards)) {
        return false;
    }
    failed = true;
    return true;
}
