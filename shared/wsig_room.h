/*
 * wsig_room.h: rooms.  One record in the zone for each, which says who is in
 * it; the records get memory in steps.
 *
 * A room has no name here, only a keyed hash of realm and name, and is there
 * for as long as somebody is in it: its record is in use while one of its
 * places has a member.  So entering and leaving take effect by one store, that
 * of the member's generation, and a record needs no other state.  (What leads
 * to a record, the buckets and the list of free ones, is made anew from the
 * records when somebody died at work on them.)
 *
 * Nobody is told what happened: who is in the room gets a note "look at this
 * room again", compares the record with what it said last, and says the rest
 * (wsig_native_room.c).  Members whose place in the registry is gone are taken
 * out by whoever looks through all rooms.
 */

#ifndef WSIG_ROOM_H
#define WSIG_ROOM_H

#include "wsig_registry.h"

#define WSIG_ROOM_MAX 8 /* members */
#define WSIG_ROOM_NAME_MIN 22
#define WSIG_ROOM_NAME_MAX 64

typedef struct wsig_member_s {
    wsig_address_t at; /* generation 0: nobody; stored last */
    uint32_t serial;   /* of its entering: another one each time, in any room */
} wsig_member_t;

typedef struct wsig_room_s {
    uint64_t id; /* another one each time that the record is used */
    uint8_t key[16];
    uint32_t next; /* in its bucket, or of those free; index plus 1 */
    uint32_t n;    /* in a copy only: the first n are the members */
    wsig_member_t members[WSIG_ROOM_MAX];
} wsig_room_t;

size_t wsig_rooms_size(uint32_t rooms);
void wsig_rooms_init(wsig_zone_t *zone);

/* Is it 22 to 64 characters of base64url? */
bool wsig_room_name_valid(wsig_text_t name);

/* Enter the room of a valid name.  WSIG_OK: self is in it now.  WSIG_TAKEN: it
 * was before.  In both cases *copy is the room, self included.  WSIG_FULL:
 * eight others are in it.  WSIG_NOMEM: no record is left. */
int wsig_room_enter(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                    wsig_text_t name, wsig_address_t self, wsig_room_t *copy);

/* Leave a room by its valid name, or by its id.  WSIG_OK: *copy tells who is
 * left.  WSIG_ABSENT: self was not in it.  WSIG_NOMEM, by name only. */
int wsig_room_leave(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                    wsig_text_t name, wsig_address_t self, wsig_room_t *copy);
int wsig_room_leave_id(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                       wsig_room_t *copy);

/* WSIG_ABSENT: nobody is in it any more. */
int wsig_room_read(wsig_zone_t *zone, uint64_t id, wsig_room_t *copy);

/* Of a copy: the member, or NULL. */
const wsig_member_t *wsig_room_member(const wsig_room_t *copy,
                                      wsig_address_t at);

/* Is it time to look through all rooms?  Says yes to one worker only. */
bool wsig_room_sweep_due(wsig_zone_t *zone, wsig_time_t now);

/* Look through the rooms from *cursor on (0 at first) for members that are
 * gone.  true: some were taken out of a room, *copy tells who is left there
 * and to be told, and it goes on at *cursor. */
bool wsig_room_sweep(wsig_zone_t *zone, uint32_t *cursor, wsig_room_t *copy);

/* How many rooms there are. */
uint32_t wsig_rooms_live(const wsig_zone_t *zone);

#endif
