/*
 * wsig_worker.h: what one worker owns.
 */

#ifndef WSIG_WORKER_H
#define WSIG_WORKER_H

#include "wsig_peer.h"
#include "wsig_relay.h"

struct wsig_worker_s {
    wsig_zone_t *zone;
    const wsig_host_t *host;
    void *host_data;
    unsigned place;
    uint32_t epoch;
    int doorbell;
    uint32_t serial; /* of claims */
    wsig_presence_t presence;
    wsig_relay_t relay;
    wsig_timers_t timers;
    wsig_table_t by_slot; /* registered peers */
    wsig_table_t claims;  /* claiming and returning peers, by serial */
    wsig_peer_t *peers;
    wsig_peer_t *attention;
    wsig_peer_t *dead;
    size_t n_peers;
    char *body; /* of the record that was taken from the mailbox */
    size_t body_room;
    bool again;         /* the mailbox was not emptied */
    size_t list_budget; /* bytes of user lists until the next tick */
    int64_t tick_at;
    int64_t bury_at;
    int64_t timer_at; /* what the host's timer is set to */
    uint32_t sweep;   /* the next partition to sweep of dead peers */
    bool quitting;
    int64_t asked_at;    /* to leave */
    int64_t drain_until; /* while quitting */
    int64_t alone_at;    /* since then all others leave too; 0: they do not */
    bool hurried;
    bool ending;       /* whoever is lost now is so without a session */
    bool bidden;       /* goodbyes were said */
    bool followed;     /* others were promised */
    size_t most_peers; /* since the heap was trimmed */
    int64_t trim_at;   /* 0: no need */
    size_t drain_step; /* peers to close at a tick */
    int64_t closed_at; /* one of them, the last time */
};

/* From one client's reconnect to the next, in ms: each costs up to 3.8 ms of
 * CPU (t/bench), and all are to take less than a tenth of a core. */
#define WSIG_BID_PACE 40

static inline void
wsig_worker_count(wsig_worker_t *worker, wsig_counter_t counter)
{
    wsig_zone_count(worker->zone, worker->place, counter, 1);
}

/* Have wsig_peer_attend called before the entry point returns. */
void wsig_worker_attend(wsig_peer_t *peer);

static inline wsig_owner_t
wsig_worker_self(const wsig_worker_t *worker)
{
    return (wsig_owner_t){worker->place, worker->epoch};
}

/* The local peer of an address, connected or lost, or NULL. */
wsig_peer_t *wsig_worker_find(const wsig_worker_t *worker,
                              wsig_address_t address);

/* A record to a worker, this one too.  WSIG_ABSENT, WSIG_NOMEM. */
int wsig_worker_post(wsig_worker_t *worker, wsig_owner_t to,
                     const wsig_record_t *record, const void *body,
                     wsig_time_t now);

/* A text to the peer in record->to, wherever it is; the frame stays the
 * caller's.  WSIG_ABSENT, WSIG_NOMEM. */
int wsig_worker_text(wsig_peer_t *from, wsig_record_t *record,
                     wsig_frame_t *frame, wsig_time_t now);

/* A record without a body to a peer, wherever it is. */
void wsig_worker_tell(wsig_worker_t *worker, const wsig_record_t *record,
                      wsig_time_t now);

/* Tell all but one that they are to look at a call. */
void wsig_worker_note(wsig_worker_t *worker, const wsig_notes_t *notes,
                      wsig_address_t but, wsig_time_t now);

/* Tell all who are in a room but one that they are to look at it. */
void wsig_worker_note_room(wsig_worker_t *worker, const wsig_room_t *room,
                           wsig_address_t but, wsig_time_t now);

/* A log line; frees the buffer's memory. */
void wsig_worker_log(wsig_worker_t *worker, wsig_level_t level,
                     wsig_buffer_t *line);

/* The end of every entry point. */
void wsig_worker_settle(wsig_worker_t *worker, wsig_time_t now);

#endif
