/*
 * check.h: what the C tests assert with.  The first failure ends the program,
 * which says where and why on stderr.
 */

#ifndef CHECK_H
#define CHECK_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* CHECK(condition) or CHECK(condition, "case %d", i): the words are printed
 * where the condition does not hold. */
#define CHECK(condition, ...)                                                  \
    ((condition)                                                               \
         ? (void) 0                                                            \
         : check_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__))

__attribute__((format(printf, 4, 5), noreturn)) static inline void
check_failed(const char *file, int line, const char *condition,
             const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: %s:", file, line, condition);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

#endif
