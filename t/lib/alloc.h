/*
 * alloc.h: allocations that fail when a test says so.  Tests are linked with
 * --wrap=malloc, calloc, realloc and posix_fallocate.  Each thread counts its
 * own.
 */

#ifndef ALLOC_H
#define ALLOC_H

#include <stdbool.h>

/* Let the n-th allocation from now fail (1 is the next one), and if onwards
 * all that follow it; 0: none. */
void alloc_fail(long n, bool onwards);

/* How many allocations were asked for since alloc_fail, failed ones too. */
long alloc_count(void);

/* Did one fail since alloc_fail? */
bool alloc_failed(void);

/* While true, allocations are the test's own: they succeed, uncounted. */
void alloc_spare(bool spare);

/* Let the n-th posix_fallocate from now find no memory; 0: none. */
void alloc_full(long n);

#endif
