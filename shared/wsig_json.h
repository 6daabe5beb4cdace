/*
 * wsig_json.h: JSON texts of the profile in README.md ("Texts"): a validating
 * scanner that yields byte ranges (wsig_scan.c), and a writer (wsig_write.c).
 *
 * No document tree: what a client sent is looked at in place, and what travels
 * is copied byte for byte.
 */

#ifndef WSIG_JSON_H
#define WSIG_JSON_H

#include "wsig.h"

typedef enum {
    WSIG_JSON_NONE, /* the member is not there */
    WSIG_JSON_OBJECT,
    WSIG_JSON_ARRAY,
    WSIG_JSON_STRING,
    WSIG_JSON_NUMBER,
    WSIG_JSON_TRUE,
    WSIG_JSON_FALSE,
    WSIG_JSON_NULL
} wsig_json_kind_t;

typedef struct wsig_value_s {
    wsig_json_kind_t kind;
    wsig_text_t raw; /* as written: a string with its quotes, no white space */
} wsig_value_t;

/* Check that text is one JSON object of the profile, and find the members
 * named by keys (plain texts; a member's key is compared unescaped) at its top
 * level: values[i] is the one of keys[i].  text must be valid UTF-8 already.
 * Time is O(n log n) in the text, whatever it is.  WSIG_INVALID: not of the
 * profile; WSIG_NOMEM. */
int wsig_scan(wsig_text_t text, const wsig_text_t *keys, size_t n_keys,
              wsig_value_t *values);

/* The same for whatever JSON.parse takes as an object, of any depth, with lone
 * surrogates and \u0000: what a browser will read must be read by the same
 * grammar.  WSIG_TAKEN: a top-level key stands twice. */
int wsig_scan_loose(wsig_text_t text, const wsig_text_t *keys, size_t n_keys,
                    wsig_value_t *values);

/* The content of a scanned string, unescaped, into out, which has room for at
 * least raw.size bytes; returns its size, always less than raw.size.  out may
 * be the string itself. */
size_t wsig_string_copy(const wsig_value_t *string, char *out);

/* Does a scanned value hold this very string?  (false for other kinds) */
bool wsig_string_is(const wsig_value_t *value, wsig_text_t text);

/* Walk over the items of a scanned array: set *at to the array's raw text,
 * then call until false.  (*at is moved on.) */
bool wsig_array_next(wsig_text_t *at, wsig_value_t *item);

/*
 * The writer appends to a buffer that grows; when memory is short it sets
 * failed and ignores the rest, so that one check at the end suffices.  Zeroed
 * is empty; free(data) is the owner's.
 */
typedef struct wsig_buffer_s {
    char *data;
    size_t size;
    size_t room;
    bool failed;
} wsig_buffer_t;

void wsig_put(wsig_buffer_t *buffer, const void *data, size_t size);
void wsig_put_words(wsig_buffer_t *buffer, const char *words); /* to the NUL */
void wsig_put_text(wsig_buffer_t *buffer, wsig_text_t text);   /* as it is */
void wsig_put_number(wsig_buffer_t *buffer, int64_t number);

/* Quoted and escaped: only what RFC 8259, section 7 requires. */
void wsig_put_string(wsig_buffer_t *buffer, wsig_text_t text);

#endif
