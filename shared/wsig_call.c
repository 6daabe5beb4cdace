#include <string.h>

#include "wsig_calls.h"

#define SWEEP_EVERY 250 /* ms */
#define SWEEP_CHUNK 64  /* records looked at under one lock */

static void
wsig_note(wsig_notes_t *notes, uint64_t call, wsig_address_t to)
{
    notes->call = call;
    notes->to[notes->n++] = to;
}

static void
wsig_note_all(const wsig_call_t *call, wsig_notes_t *notes)
{
    int i;

    wsig_note(notes, call->id, call->caller);
    for (i = 0; i < call->n_ringers; i++) {
        if (!call->ringers[i].left) {
            wsig_note(notes, call->id, call->ringers[i].at);
        }
    }
}

static void
wsig_call_end(wsig_calls_view_t *view, wsig_call_t *call, wsig_end_t reason,
              wsig_time_t now, wsig_notes_t *notes)
{
    call->reason = (uint8_t) reason;
    call->deadline = now.mono + WSIG_CALL_KEPT;
    wsig_calls_move(view, call, WSIG_CALL_ENDED);
    (void) wsig_registry_set_call(view->zone, call->caller, call->id, 0);
    if (call->callee.generation != 0) {
        (void) wsig_registry_set_call(view->zone, call->callee, call->id, 0);
    }
    wsig_note_all(call, notes);
}

static wsig_ringer_t *
wsig_call_ringer(wsig_call_t *call, wsig_address_t at)
{
    int i;

    for (i = 0; i < call->n_ringers; i++) {
        if (wsig_address_same(call->ringers[i].at, at)) {
            return &call->ringers[i];
        }
    }
    return NULL;
}

/* Make a peer ring; false: no room among those that rang. */
static bool
wsig_call_ring(wsig_call_t *call, wsig_address_t at)
{
    int i;

    if (wsig_call_ringer(call, at) != NULL) {
        return true;
    }
    for (i = 0; i < call->n_ringers && !call->ringers[i].left; i++) {
    }
    if (call->n_ringers < WSIG_USER_PEERS) {
        i = call->n_ringers++;
    } else if (i == call->n_ringers) {
        return false;
    }
    call->ringers[i] = (wsig_ringer_t){at, 0};
    return true;
}

static bool
wsig_call_rings(const wsig_call_t *call)
{
    int i;

    for (i = 0; i < call->n_ringers; i++) {
        if (!call->ringers[i].left) {
            return true;
        }
    }
    return false;
}

static void
wsig_call_answer(wsig_calls_view_t *view, wsig_call_t *call,
                 wsig_address_t callee, const wsig_slot_t *slot,
                 const wsig_media_t *media, wsig_notes_t *notes)
{
    call->callee = callee;
    call->callee_verified = slot->flags & WSIG_PEER_VERIFIED;
    call->callee_media = *media;
    wsig_calls_move(view, call, WSIG_CALL_ANSWERED);
    wsig_note_all(call, notes);
}

/* Of the calls that this user made: the one that this peer gave this ref, or
 * NULL.  Too many ended ones are forgotten on the way, the oldest first. */
static wsig_call_t *
wsig_call_of_ref(wsig_calls_view_t *view, const wsig_slot_t *self,
                 const wsig_dial_t *dial)
{
    wsig_call_t *call = NULL, *oldest = NULL;
    int ended = 0;

    while ((call = wsig_calls_next_of_caller(view, self->hash, call)) != NULL) {
        if (memcmp(&call->realm, &self->realm, sizeof(self->realm)) != 0 ||
            !wsig_text_same(wsig_call_caller(call), wsig_slot_name(self))) {
            continue;
        }
        if (dial->ref.size > 0 &&
            wsig_address_same(call->caller, dial->caller) &&
            wsig_text_same((wsig_text_t){call->ref, call->ref_size},
                           dial->ref)) {
            return call;
        }
        if (wsig_calls_state(view, (uint32_t) call->id) == WSIG_CALL_ENDED) {
            ended++;
            if (oldest == NULL || call->deadline < oldest->deadline) {
                oldest = call;
            }
        }
    }
    if (ended >= WSIG_CALLS_KEPT_EACH) {
        wsig_calls_forget(view, oldest);
    }
    return NULL;
}

/* The calls that ring at a user: counts them, and finds the oldest of those
 * that this caller made. */
static wsig_call_t *
wsig_call_ringing(wsig_calls_view_t *view, const wsig_realm_id_t *realm,
                  uint32_t hash, wsig_text_t callee, wsig_text_t caller, int *n)
{
    wsig_call_t *call = NULL, *found = NULL;

    *n = 0;
    while ((call = wsig_calls_next_of_callee(view, hash, call)) != NULL) {
        if (memcmp(&call->realm, realm, sizeof(*realm)) != 0 ||
            !wsig_text_same(wsig_call_callee(call), callee)) {
            continue;
        }
        (*n)++;
        if (wsig_text_same(wsig_call_caller(call), caller) &&
            (found == NULL || call->started < found->started)) {
            found = call;
        }
    }
    return found;
}

static void
wsig_call_fill(wsig_call_t *call, const wsig_dial_t *dial,
               const wsig_slot_t *self, const wsig_slot_t *callee,
               wsig_time_t now)
{
    call->realm = self->realm;
    call->caller_hash = self->hash;
    call->callee_hash = callee->hash;
    call->started = now.mono;
    call->deadline = now.mono + dial->ring_timeout;
    call->caller = dial->caller;
    call->caller_verified = self->flags & WSIG_PEER_VERIFIED;
    call->caller_size = self->name_size;
    memcpy(call->caller_name, self->name, self->name_size);
    call->callee_size = callee->name_size;
    memcpy(call->callee_name, callee->name, callee->name_size);
    call->callee_verified = callee->flags & WSIG_PEER_VERIFIED;
    call->caller_media = *dial->media;
    call->ref_size = (uint8_t) dial->ref.size;
    if (dial->ref.size > 0) {
        memcpy(call->ref, dial->ref.data, dial->ref.size);
    }
    call->info_size = (uint16_t) dial->info.size;
    if (dial->info.size > 0) {
        memcpy(call->info, dial->info.data, dial->info.size);
    }
}

/* Both dial each other: the older call is accepted by this dial. */
static int
wsig_call_meet(wsig_calls_view_t *view, const wsig_dial_t *dial,
               const wsig_slot_t *self, wsig_call_t *call, wsig_call_t *older,
               wsig_notes_t *notes)
{
    if (!wsig_call_ring(older, dial->caller)) {
        return WSIG_FULL;
    }
    if (wsig_registry_set_call(view->zone, dial->caller, 0, older->id) !=
        WSIG_OK) {
        return WSIG_TAKEN;
    }
    wsig_call_answer(view, older, dial->caller, self, dial->media, notes);
    call->reason = WSIG_END_GLARE;
    call->into = older->id;
    return WSIG_OK;
}

/* Make those of the callee's peers ring that are in no call. */
static int
wsig_call_start(wsig_calls_view_t *view, const wsig_dial_t *dial,
                wsig_call_t *call, const wsig_slot_t *peers,
                const wsig_address_t *at, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        if (peers[i].call == 0) {
            wsig_call_ring(call, at[i]);
        }
    }
    if (call->n_ringers == 0) {
        call->reason = WSIG_END_BUSY;
        return WSIG_OK;
    }
    return wsig_registry_set_call(view->zone, dial->caller, 0, call->id);
}

/* May self dial these?  *older: the call of theirs that this dial answers. */
static int
wsig_call_may_dial(wsig_calls_view_t *view, const wsig_dial_t *dial,
                   const wsig_slot_t *self, const wsig_slot_t *callee,
                   wsig_call_t **older)
{
    int ringing;

    if (dial->only_verified && !(callee->flags & WSIG_PEER_VERIFIED)) {
        return WSIG_FORBIDDEN;
    }
    *older = wsig_call_ringing(view, &self->realm, self->hash,
                               wsig_slot_name(self), dial->to, &ringing);
    if (*older != NULL) {
        return WSIG_OK;
    }
    (void) wsig_call_ringing(view, &self->realm, callee->hash, dial->to,
                             dial->to, &ringing);
    return ringing < WSIG_CALLS_RINGING ? WSIG_OK : WSIG_FULL;
}

static int
wsig_call_dial_locked(wsig_calls_view_t *view, const wsig_dial_t *dial,
                      wsig_time_t now, uint64_t *id, wsig_notes_t *notes)
{
    wsig_slot_t self, peers[WSIG_USER_PEERS];
    wsig_address_t at[WSIG_USER_PEERS];
    wsig_call_t *call, *older;
    int n, rc;

    if (wsig_registry_get(view->zone, dial->caller, &self) != WSIG_OK) {
        return WSIG_ABSENT;
    }
    call = wsig_call_of_ref(view, &self, dial);
    if (call != NULL) {
        *id = call->id;
        return WSIG_OK;
    }
    if (self.call != 0) {
        return WSIG_TAKEN;
    }
    if (wsig_text_same(wsig_slot_name(&self), dial->to)) {
        return WSIG_ABSENT;
    }
    n = wsig_registry_find(view->zone, &self.realm, dial->to, peers, at);
    if (n <= 0) {
        return n < 0 ? n : WSIG_ABSENT;
    }
    rc = wsig_call_may_dial(view, dial, &self, &peers[0], &older);
    if (rc != WSIG_OK) {
        return rc;
    }
    call = wsig_calls_take(view);
    if (call == NULL) {
        return WSIG_FULL;
    }
    wsig_call_fill(call, dial, &self, &peers[0], now);
    rc = older != NULL ? wsig_call_meet(view, dial, &self, call, older, notes)
                       : wsig_call_start(view, dial, call, peers, at, n);
    if (rc != WSIG_OK) {
        wsig_calls_return(view, call);
        return rc;
    }
    *id = call->id;
    if (call->reason != WSIG_END_NONE) {
        call->deadline = now.mono + WSIG_CALL_KEPT;
        wsig_calls_put(view, call, WSIG_CALL_ENDED);
        return WSIG_OK;
    }
    wsig_calls_put(view, call, WSIG_CALL_RINGING);
    wsig_note_all(call, notes);
    return WSIG_OK;
}

int
wsig_call_dial(wsig_zone_t *zone, const wsig_dial_t *dial, wsig_time_t now,
               uint64_t *id, wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    int rc;

    notes->n = 0;
    rc = wsig_call_dial_locked(&view, dial, now, id, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static int
wsig_call_accept_locked(wsig_calls_view_t *view, uint64_t id,
                        wsig_address_t self, const wsig_media_t *media,
                        wsig_notes_t *notes)
{
    wsig_call_t *call = wsig_calls_find(view, id);
    wsig_slot_t slot;
    int rc;

    if (call == NULL) {
        return WSIG_ABSENT;
    }
    if (wsig_address_same(call->caller, self)) {
        return WSIG_INVALID;
    }
    if (wsig_call_ringer(call, self) == NULL) {
        return WSIG_ABSENT;
    }
    if (wsig_calls_state(view, (uint32_t) id) != WSIG_CALL_RINGING) {
        return WSIG_OK;
    }
    rc = wsig_registry_get(view->zone, self, &slot);
    if (rc == WSIG_OK) {
        rc = wsig_registry_set_call(view->zone, self, 0, id);
    }
    if (rc == WSIG_OK) {
        wsig_call_answer(view, call, self, &slot, media, notes);
    }
    return rc;
}

int
wsig_call_accept(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                 const wsig_media_t *media, wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    int rc;

    notes->n = 0;
    rc = wsig_call_accept_locked(&view, id, self, media, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static int
wsig_call_hangup_locked(wsig_calls_view_t *view, uint64_t id,
                        wsig_address_t self, wsig_time_t now, bool *ended,
                        wsig_notes_t *notes)
{
    wsig_call_t *call = wsig_calls_find(view, id);
    bool caller;

    *ended = false;
    if (call == NULL) {
        return WSIG_ABSENT;
    }
    caller = wsig_address_same(call->caller, self);
    if (!caller && wsig_call_ringer(call, self) == NULL) {
        return WSIG_ABSENT;
    }
    switch (wsig_calls_state(view, (uint32_t) id)) {
    case WSIG_CALL_RINGING:
        wsig_call_end(view, call,
                      caller ? WSIG_END_CANCELLED : WSIG_END_DECLINED, now,
                      notes);
        *ended = true;
        break;
    case WSIG_CALL_ANSWERED:
        if (caller || wsig_address_same(call->callee, self)) {
            wsig_call_end(view, call, WSIG_END_HANGUP, now, notes);
            *ended = true;
        }
        break;
    default:
        break;
    }
    return WSIG_OK;
}

int
wsig_call_hangup(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                 wsig_time_t now, bool *ended, wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    int rc;

    notes->n = 0;
    rc = wsig_call_hangup_locked(&view, id, self, now, ended, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static bool
wsig_call_left_locked(wsig_calls_view_t *view, wsig_address_t at, bool bye,
                      wsig_time_t now, wsig_notes_t *notes)
{
    wsig_slot_t self;
    wsig_ringer_t *ringer;
    wsig_call_t *call;
    wsig_end_t reason = WSIG_END_GONE;

    if (wsig_registry_get(view->zone, at, &self) != WSIG_OK) {
        return false;
    }
    call = self.call != 0 ? wsig_calls_find(view, self.call) : NULL;
    if (call != NULL &&
        wsig_calls_state(view, (uint32_t) call->id) != WSIG_CALL_ENDED) {
        if (bye) {
            reason = wsig_calls_state(view, (uint32_t) call->id) ==
                             WSIG_CALL_ANSWERED
                         ? WSIG_END_HANGUP
                         : WSIG_END_CANCELLED;
        }
        wsig_call_end(view, call, reason, now, notes);
        return true;
    }
    call = NULL;
    while ((call = wsig_calls_next_of_callee(view, self.hash, call)) != NULL) {
        ringer = wsig_call_ringer(call, at);
        if (ringer == NULL || ringer->left) {
            continue;
        }
        ringer->left = 1;
        if (!wsig_call_rings(call)) {
            wsig_call_end(view, call, WSIG_END_UNREACHABLE, now, notes);
            return true;
        }
    }
    return false;
}

bool
wsig_call_left(wsig_zone_t *zone, wsig_address_t self, bool bye,
               wsig_time_t now, wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    bool more;

    notes->n = 0;
    more = wsig_call_left_locked(&view, self, bye, now, notes);
    wsig_calls_unlock(&view);
    return more;
}

int
wsig_call_joined(wsig_zone_t *zone, wsig_address_t at,
                 uint64_t ids[WSIG_CALLS_RINGING])
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    wsig_call_t *call = NULL;
    wsig_slot_t self;
    int n = 0;

    if (wsig_registry_get(zone, at, &self) == WSIG_OK) {
        while (n < WSIG_CALLS_RINGING &&
               (call = wsig_calls_next_of_callee(&view, self.hash, call)) !=
                   NULL) {
            /* Who called a proved name gets nobody else of that name. */
            if (memcmp(&call->realm, &self.realm, sizeof(self.realm)) == 0 &&
                wsig_text_same(wsig_call_callee(call), wsig_slot_name(&self)) &&
                (self.flags & WSIG_PEER_VERIFIED || !call->callee_verified) &&
                wsig_call_ring(call, at)) {
                ids[n++] = call->id;
            }
        }
    }
    wsig_calls_unlock(&view);
    return n;
}

int
wsig_call_list(wsig_zone_t *zone, wsig_address_t at,
               uint64_t ids[WSIG_CALLS_RINGING + 1])
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    const wsig_ringer_t *ringer;
    wsig_call_t *call = NULL;
    wsig_slot_t self;
    int n = 0;

    if (wsig_registry_get(zone, at, &self) == WSIG_OK) {
        if (self.call != 0) {
            ids[n++] = self.call;
        }
        while (n <= WSIG_CALLS_RINGING &&
               (call = wsig_calls_next_of_callee(&view, self.hash, call)) !=
                   NULL) {
            ringer = wsig_call_ringer(call, at);
            if (ringer != NULL && !ringer->left) {
                ids[n++] = call->id;
            }
        }
    }
    wsig_calls_unlock(&view);
    return n;
}

int
wsig_call_read(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
               wsig_call_t *copy)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    wsig_call_t *call = wsig_calls_find(&view, id);
    int rc = WSIG_ABSENT;

    if (call != NULL && (wsig_address_same(call->caller, self) ||
                         wsig_call_ringer(call, self) != NULL)) {
        *copy = *call;
        copy->state = wsig_calls_state(&view, (uint32_t) id);
        rc = WSIG_OK;
    }
    wsig_calls_unlock(&view);
    return rc;
}

int
wsig_call_other(const wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                wsig_address_t *other)
{
    wsig_calls_view_t view = wsig_calls_view(zone);
    wsig_call_word_t *word;
    uint64_t seen, caller, callee, at;

    if ((uint32_t) id >= zone->shared->calls) {
        return WSIG_ABSENT;
    }
    word = &view.words[(uint32_t) id];
    seen = atomic_load(&word->word);
    caller = atomic_load(&word->caller);
    callee = atomic_load(&word->callee);
    if (seen >> 8 != id >> 32) {
        return WSIG_ABSENT;
    }
    if ((seen & 0xff) != WSIG_CALL_ANSWERED ||
        atomic_load(&word->word) != seen) {
        return WSIG_AGAIN;
    }
    if (wsig_address_pack(self) == caller) {
        at = callee;
    } else if (wsig_address_pack(self) == callee) {
        at = caller;
    } else {
        return WSIG_ABSENT;
    }
    *other = (wsig_address_t){(uint32_t) at, (uint32_t) (at >> 32)};
    return WSIG_OK;
}

bool
wsig_call_sweep_due(wsig_zone_t *zone, wsig_time_t now)
{
    int64_t at = atomic_load(&zone->shared->sweep_at);

    return now.mono >= at &&
           atomic_compare_exchange_strong(&zone->shared->sweep_at, &at,
                                          now.mono + SWEEP_EVERY);
}

static bool
wsig_peer_stands(wsig_zone_t *zone, wsig_address_t at)
{
    wsig_slot_t peer;

    return wsig_registry_get(zone, at, &peer) == WSIG_OK;
}

/* What ought to happen to a ringing or answered call now. */
static wsig_end_t
wsig_call_overdue(wsig_calls_view_t *view, wsig_call_t *call, wsig_time_t now)
{
    int i;

    if (!wsig_peer_stands(view->zone, call->caller)) {
        return WSIG_END_GONE;
    }
    if (wsig_calls_state(view, (uint32_t) call->id) == WSIG_CALL_ANSWERED) {
        return wsig_peer_stands(view->zone, call->callee) ? WSIG_END_NONE
                                                          : WSIG_END_GONE;
    }
    for (i = 0; i < call->n_ringers; i++) {
        if (!call->ringers[i].left &&
            !wsig_peer_stands(view->zone, call->ringers[i].at)) {
            call->ringers[i].left = 1;
        }
    }
    if (!wsig_call_rings(call)) {
        return WSIG_END_UNREACHABLE;
    }
    return now.mono >= call->deadline ? WSIG_END_NO_ANSWER : WSIG_END_NONE;
}

/* At most a chunk of records under one lock. */
static void
wsig_call_sweep_chunk(wsig_calls_view_t *view, uint32_t *cursor,
                      wsig_time_t now, wsig_notes_t *notes)
{
    wsig_call_state_t state;
    wsig_end_t reason;
    wsig_call_t *call;
    int i;

    for (i = 0; i < SWEEP_CHUNK; i++) {
        call = wsig_calls_first_ended(view);
        if (call == NULL || now.mono < call->deadline) {
            break;
        }
        wsig_calls_forget(view, call);
    }
    for (i = 0;
         i < SWEEP_CHUNK && *cursor < wsig_calls_high(view) && notes->n == 0;
         i++, (*cursor)++) {
        state = wsig_calls_state(view, *cursor);
        if (state != WSIG_CALL_RINGING && state != WSIG_CALL_ANSWERED) {
            continue;
        }
        call = &view->records[*cursor];
        reason = wsig_call_overdue(view, call, now);
        if (reason != WSIG_END_NONE) {
            wsig_call_end(view, call, reason, now, notes);
        }
    }
}

bool
wsig_call_sweep(wsig_zone_t *zone, uint32_t *cursor, wsig_time_t now,
                wsig_notes_t *notes)
{
    wsig_calls_view_t view;
    bool more;

    notes->n = 0;
    do {
        view = wsig_calls_lock(zone);
        wsig_call_sweep_chunk(&view, cursor, now, notes);
        more = *cursor < wsig_calls_high(&view);
        wsig_calls_unlock(&view);
    } while (more && notes->n == 0);
    return notes->n > 0;
}

void
wsig_call_numbers(const wsig_zone_t *zone, uint32_t *ringing,
                  uint32_t *answered)
{
    wsig_calls_view_t view = wsig_calls_view(zone);
    uint32_t i;

    *ringing = 0;
    *answered = 0;
    for (i = 0; i < wsig_calls_high(&view); i++) {
        switch (wsig_calls_state(&view, i)) {
        case WSIG_CALL_RINGING:
            (*ringing)++;
            break;
        case WSIG_CALL_ANSWERED:
            (*answered)++;
            break;
        default:
            break;
        }
    }
}
