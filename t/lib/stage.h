/*
 * stage.h: a zone, one or more fake workers on it in this thread, and people
 * of the native dialect who join them.
 */

#ifndef STAGE_H
#define STAGE_H

#include "host.h"

#define STAGE_HOSTS 4

typedef struct stage_s {
    wsig_zone_t *zone;
    host_t hosts[STAGE_HOSTS];
    host_t *list[STAGE_HOSTS];
    size_t n;
    wsig_conf_t conf; /* the defaults, to be changed by the test */
} stage_t;

void stage_begin(stage_t *stage, size_t n);

/* Stops all; nobody may be left in the registry, and no call alive. */
void stage_end(stage_t *stage);

void stage_settle(stage_t *stage);
void stage_pass(stage_t *stage, int64_t ms);

/* Open a connection to a host (taken modulo the number of hosts). */
client_t *stage_open(stage_t *stage, size_t host, const char *name,
                     const char *identity);

/* A guest who has joined and heard his welcome; a user of a proved name. */
client_t *stage_guest(stage_t *stage, size_t host, const char *name);
client_t *stage_user(stage_t *stage, size_t host, const char *name);

/* Everybody: forget what was heard. */
void stage_forget(stage_t *stage);

/* Everybody: nothing was heard. */
#define ALL_SILENT(stage) stage_silent(stage, __FILE__, __LINE__)
void stage_silent(stage_t *stage, const char *file, int line);

/* Nobody in the zone, no call that lives. */
void zone_is_empty(wsig_zone_t *zone);

#endif
