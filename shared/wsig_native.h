/*
 * wsig_native.h: the native dialect, webrtc-signal.v1 (PROTOCOL in README.md).
 *
 *   wsig_dialect_native.c   hello, welcome, bye, ice; which text goes where
 *   wsig_native_text.c      texts read and written
 *   wsig_native_presence.c  lists and deltas
 *   wsig_native_call.c      calls and signals
 *   wsig_native_room.c      rooms
 */

#ifndef WSIG_NATIVE_H
#define WSIG_NATIVE_H

#include "wsig_dialect.h"

#define WSIG_NAMES_MAX 1000 /* that one peer may watch */
#define WSIG_CALL_TEXT 24   /* room for a call's id as text */

/* The members of a client's texts. */
enum {
    WSIG_TYPE,
    WSIG_REF,
    WSIG_NAME,
    WSIG_WATCH,
    WSIG_NAMES,
    WSIG_TO,
    WSIG_CALL,
    WSIG_MEDIA,
    WSIG_INFO,
    WSIG_DATA,
    WSIG_STATE,
    WSIG_ROOM,
    WSIG_RESUME,
    WSIG_GOT,
    WSIG_MEMBERS
};

/* A text as it was read; values point into it. */
typedef struct wsig_said_s {
    wsig_value_t values[WSIG_MEMBERS];
    uint64_t call; /* 0: none, or none that could exist */
    bool has_ref;
    char ref[WSIG_REF_MAX];
    size_t ref_size;
} wsig_said_t;

/*
 * Writing: wsig_native_begin, members, wsig_native_end.
 */

void wsig_native_begin(wsig_buffer_t *out, const char *type);
void wsig_native_end(wsig_peer_t *peer, wsig_buffer_t *out); /* and send */

/* The same for one with a member call or room: it is counted, and kept until
 * the client acknowledges it. */
void wsig_native_end_counted(wsig_peer_t *peer, wsig_buffer_t *out);
void wsig_native_send_counted(wsig_peer_t *peer, wsig_frame_t *frame);

void wsig_put_member(wsig_buffer_t *out, const char *key, wsig_text_t value);
void wsig_put_call_id(wsig_buffer_t *out, const char *key, uint64_t call);
void wsig_put_peer_id(wsig_buffer_t *out, const char *key, wsig_address_t at);
void wsig_put_ref(wsig_buffer_t *out, const wsig_said_t *said); /* NULL: none */
void wsig_put_verified(wsig_buffer_t *out, bool verified);
void wsig_put_media(wsig_buffer_t *out, const wsig_media_t *media);
void wsig_put_user(wsig_buffer_t *out, const wsig_user_t *user);

/* A number of seconds, with what is behind the point where there is some. */
void wsig_put_seconds(wsig_buffer_t *out, int64_t ms);

/* {"iceServers":...}: the credentials of guests of a site with logins are for
 * their calls only. */
void wsig_put_ice(wsig_buffer_t *out, const wsig_peer_t *peer, bool in_call,
                  wsig_time_t now);

/* The member ice, for those guests. */
void wsig_put_call_ice(wsig_buffer_t *out, const wsig_peer_t *peer,
                       wsig_time_t now);

/* What a state is called on the wire. */
const char *wsig_state_word(uint8_t state);

/* An error text; message is JSON between quotes.  said may be NULL. */
void wsig_native_error(wsig_peer_t *peer, const wsig_said_t *said,
                       const char *code, const char *message);
void wsig_native_bad(wsig_peer_t *peer, const wsig_said_t *said,
                     const char *message);

/*
 * Reading.  false: not of the form that it must have.
 */

/* Scan a text; returns what wsig_scan returns. */
int wsig_native_read(wsig_text_t text, wsig_said_t *said);

bool wsig_is_string(const wsig_value_t *value);
uint64_t wsig_read_call(const wsig_value_t *value); /* 0: none */
bool wsig_read_ref(wsig_said_t *said);              /* true if absent */
bool wsig_read_media(const wsig_value_t *value, wsig_media_t *media);

/* A member's peer, as wsig_put_peer_id writes it. */
bool wsig_read_peer_id(const wsig_value_t *value, wsig_address_t *at);

bool wsig_read_count(const wsig_value_t *value, uint64_t *n); /* whole */

/* "all", "none" or a list of names, which is allocated.  WSIG_INVALID,
 * WSIG_NOMEM. */
int wsig_read_watch(const wsig_value_t *value, wsig_watch_t *watch,
                    wsig_names_t **names);

/* The order of bytes, for qsort and bsearch. */
int wsig_compare_texts(const void *left, const void *right);

/*
 * Presence.
 */

/* ,"users":[...],"count":N: those that are watched and present. */
void wsig_put_users(wsig_buffer_t *out, wsig_peer_t *peer);

void wsig_native_watch(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_lookup(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_state(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
int wsig_native_flush(wsig_worker_t *worker, wsig_realm_t *realm,
                      wsig_time_t now);

/*
 * Calls.
 */

void wsig_native_call(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_accept(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_hangup(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_signal(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);

/* ,"calls":[...]: those that the peer is in; they are known from then on. */
void wsig_put_calls(wsig_buffer_t *out, wsig_peer_t *peer, wsig_time_t now);

/* Somebody says that a call has changed, or rings. */
void wsig_native_note(wsig_peer_t *peer, uint64_t id, wsig_time_t now);

/* A signal came.  Its call must have been told to be answered. */
void wsig_native_deliver(wsig_peer_t *peer, const wsig_record_t *record,
                         wsig_frame_t *frame, wsig_time_t now);

/* It came in order, or is kept until those before it have come, or (then all
 * that can be said is that something is lost) cannot be kept. */
void wsig_native_arrive(wsig_peer_t *peer, wsig_flow_t *flow,
                        const wsig_record_t *record, wsig_frame_t *frame,
                        wsig_time_t now);

/* Look at all calls. */
void wsig_native_look(wsig_peer_t *peer, wsig_time_t now);

/*
 * Rooms.
 */

void wsig_native_enter(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
void wsig_native_leave(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);

/* A signal with a room. */
void wsig_native_signal_room(wsig_peer_t *peer, wsig_said_t *said,
                             wsig_time_t now);

/* Somebody says that a room has changed. */
void wsig_native_note_room(wsig_peer_t *peer, uint64_t id, wsig_time_t now);

/* A signal came from a member of a room. */
void wsig_native_deliver_room(wsig_peer_t *peer, const wsig_record_t *record,
                              wsig_frame_t *frame, wsig_time_t now);

/* Look at all rooms. */
void wsig_native_look_rooms(wsig_peer_t *peer, wsig_time_t now);

#endif
