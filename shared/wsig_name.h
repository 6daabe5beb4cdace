/*
 * wsig_name.h: UTF-8 (RFC 3629) and what may be a name.  Pure.
 */

#ifndef WSIG_NAME_H
#define WSIG_NAME_H

#include "wsig_json.h"

#define WSIG_NAME_MAX 64 /* bytes */

/* Check a piece of a text.  *state is 0 at the beginning of a text, and 0
 * again where a text may end; false as soon as no continuation can be valid
 * (a byte early where the fault shows early: E0 80, F4 90). */
bool wsig_utf8_check(uint32_t *state, const uint8_t *data, size_t size);

/* Is the whole text valid UTF-8? */
bool wsig_utf8_valid(wsig_text_t text);

/* The name that a scanned value holds, copied into name.  false: it is none,
 * and *text is as it was. */
bool wsig_name_read(const wsig_value_t *value, char name[WSIG_NAME_MAX],
                    wsig_text_t *text);

/* 1 to 64 bytes of valid UTF-8 without control, format, separator (but U+0020
 * inside) and default-ignorable characters. */
bool wsig_name_valid(wsig_text_t name);

#endif
