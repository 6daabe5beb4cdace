/*
 * wsig_token.h: what a client shows to have its place again.
 *
 * A token names the place, counts up with each welcome, and ends with 128 bits
 * that nobody can make who has not the zone's key: HMAC-SHA-256 (RFC 2104),
 * cut, of all that it is bound to.  So nothing of it has to be stored but its
 * number, in the slot, and it is worthless with the zone.
 */

#ifndef WSIG_TOKEN_H
#define WSIG_TOKEN_H

#include "wsig_registry.h"

#define WSIG_TOKEN_ROOM 64 /* r, three numbers of 32 bits, 128 bits, in hex */

/* Whose token it is.  (The realm's hash covers the dialect.) */
typedef struct wsig_bearer_s {
    const wsig_realm_id_t *realm;
    wsig_text_t identity; /* of the handshake; size 0: none */
} wsig_bearer_t;

/* Write the token, NUL-terminated.  WSIG_NOMEM. */
int wsig_token_write(const wsig_zone_t *zone, const wsig_bearer_t *bearer,
                     wsig_address_t place, uint32_t number,
                     char token[WSIG_TOKEN_ROOM]);

/* What a token says.  WSIG_INVALID: it is none of ours, or another's.
 * WSIG_NOMEM. */
int wsig_token_read(const wsig_zone_t *zone, const wsig_bearer_t *bearer,
                    wsig_text_t token, wsig_address_t *place, uint32_t *number);

#endif
