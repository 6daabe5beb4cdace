#include <string.h>

#include "wsig_call.h"

#define SWEEP_EVERY 250 /* ms */
#define SWEEP_CHUNK 64  /* records looked at under one lock */
#define BACK_STEP 64    /* records given memory at a time */
#define NOTHING UINT32_MAX

/* What is needed of a call without the lock.  The word holds generation and
 * state; the two peers stand while the state is ANSWERED. */
typedef struct {
    _Atomic uint64_t word;
    _Atomic uint64_t caller;
    _Atomic uint64_t callee;
} wsig_call_word_t;

typedef struct {
    pthread_mutex_t lock;
    uint32_t high;    /* records ever used */
    uint32_t backed;  /* records that have memory */
    uint32_t free;    /* the first free record below high, plus 1 */
    uint32_t buckets; /* a power of two; those of callees, then of callers */
} wsig_calls_t;

/* Each is the first record of a bucket, plus 1. */
typedef struct {
    wsig_calls_t *calls;
    uint32_t *callees;
    uint32_t *callers;
    wsig_call_word_t *words;
    wsig_call_t *records;
} wsig_calls_view_t;

static uint32_t
wsig_calls_buckets(uint32_t calls)
{
    uint32_t buckets = 1024;

    while (buckets < calls / 2) {
        buckets *= 2;
    }
    return buckets;
}

static wsig_calls_view_t
wsig_calls_view(const wsig_zone_t *zone)
{
    wsig_calls_view_t view;

    view.calls = wsig_zone_at(zone, zone->shared->calls_at);
    view.words = (wsig_call_word_t *) (view.calls + 1);
    view.callees = (uint32_t *) (view.words + zone->shared->calls);
    view.callers = view.callees + wsig_calls_buckets(zone->shared->calls);
    view.records = wsig_zone_at(zone, zone->shared->records_at);
    return view;
}

size_t
wsig_calls_size(uint32_t calls)
{
    return sizeof(wsig_calls_t) + calls * sizeof(wsig_call_word_t) +
           (size_t) wsig_calls_buckets(calls) * 2 * sizeof(uint32_t);
}

void
wsig_calls_init(wsig_zone_t *zone)
{
    wsig_calls_view_t view = wsig_calls_view(zone);

    view.calls->buckets = wsig_calls_buckets(zone->shared->calls);
    wsig_mutex_init(&view.calls->lock);
}

static uint64_t
wsig_word(uint64_t id, wsig_call_state_t state)
{
    return (id >> 32 << 8) | state;
}

static wsig_call_state_t
wsig_call_state(const wsig_calls_view_t *view, uint32_t index)
{
    return (wsig_call_state_t) (atomic_load(&view->words[index].word) & 0xff);
}

static uint64_t
wsig_pack(wsig_address_t at)
{
    return (uint64_t) at.generation << 32 | at.slot;
}

static bool
wsig_same(wsig_address_t a, wsig_address_t b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

static wsig_text_t
wsig_caller_name(const wsig_call_t *call)
{
    return (wsig_text_t){call->caller_name, call->caller_size};
}

static wsig_text_t
wsig_callee_name(const wsig_call_t *call)
{
    return (wsig_text_t){call->callee_name, call->callee_size};
}

static void
wsig_call_chain(wsig_calls_view_t *view, wsig_call_t *call, uint32_t index)
{
    uint32_t mask = view->calls->buckets - 1;
    uint32_t *callees = &view->callees[call->callee_hash & mask];
    uint32_t *callers = &view->callers[call->caller_hash & mask];

    call->next_callee = *callees;
    *callees = index + 1;
    call->next_caller = *callers;
    *callers = index + 1;
}

static void
wsig_call_release(wsig_calls_view_t *view, uint32_t index)
{
    wsig_call_t *call = &view->records[index];
    uint32_t mask = view->calls->buckets - 1;
    uint32_t *link;

    link = &view->callees[call->callee_hash & mask];
    while (*link != index + 1) {
        link = &view->records[*link - 1].next_callee;
    }
    *link = call->next_callee;
    link = &view->callers[call->caller_hash & mask];
    while (*link != index + 1) {
        link = &view->records[*link - 1].next_caller;
    }
    *link = call->next_caller;
    atomic_store(&view->words[index].word, wsig_word(call->id, WSIG_CALL_FREE));
    call->next_caller = view->calls->free;
    view->calls->free = index + 1;
}

/* Lists are made anew from the records after somebody died at work on them. */
static wsig_calls_view_t
wsig_calls_lock(wsig_zone_t *zone)
{
    wsig_calls_view_t view = wsig_calls_view(zone);
    uint32_t i;

    if (!wsig_mutex_lock(&view.calls->lock)) {
        return view;
    }
    memset(view.callees, 0, view.calls->buckets * 2 * sizeof(uint32_t));
    view.calls->free = 0;
    for (i = 0; i < view.calls->high; i++) {
        if (wsig_call_state(&view, i) == WSIG_CALL_FREE) {
            view.records[i].next_caller = view.calls->free;
            view.calls->free = i + 1;
        } else {
            wsig_call_chain(&view, &view.records[i], i);
        }
    }
    return view;
}

static void
wsig_calls_unlock(wsig_calls_view_t *view)
{
    pthread_mutex_unlock(&view->calls->lock);
}

/* The record of an id, or NULL. */
static wsig_call_t *
wsig_call_find(const wsig_zone_t *zone, wsig_calls_view_t *view, uint64_t id)
{
    uint32_t index = (uint32_t) id;

    if (index >= view->calls->high || index >= zone->shared->calls ||
        wsig_call_state(view, index) == WSIG_CALL_FREE ||
        view->records[index].id != id) {
        return NULL;
    }
    return &view->records[index];
}

static uint32_t
wsig_call_oldest_ended(wsig_calls_view_t *view)
{
    uint32_t i, oldest = NOTHING;

    for (i = 0; i < view->calls->high; i++) {
        if (wsig_call_state(view, i) == WSIG_CALL_ENDED &&
            (oldest == NOTHING ||
             view->records[i].deadline < view->records[oldest].deadline)) {
            oldest = i;
        }
    }
    return oldest;
}

/* A record to fill in; it is free until its word is stored. */
static uint32_t
wsig_call_take(wsig_zone_t *zone, wsig_calls_view_t *view)
{
    wsig_calls_t *calls = view->calls;
    uint32_t index;

    if (calls->free == 0 && calls->high == calls->backed &&
        calls->backed < zone->shared->calls) {
        if (wsig_zone_back(zone,
                           zone->shared->records_at +
                               (uint64_t) calls->backed * sizeof(wsig_call_t),
                           BACK_STEP * sizeof(wsig_call_t)) == WSIG_OK) {
            calls->backed += BACK_STEP;
        }
    }
    if (calls->free == 0 && calls->high < calls->backed) {
        index = calls->high;
        calls->high++;
        return index;
    }
    if (calls->free == 0) {
        index = wsig_call_oldest_ended(view);
        if (index == NOTHING) {
            return NOTHING;
        }
        wsig_call_release(view, index);
    }
    index = calls->free - 1;
    calls->free = view->records[index].next_caller;
    return index;
}

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
wsig_call_end(wsig_zone_t *zone, wsig_calls_view_t *view, wsig_call_t *call,
              wsig_end_t reason, wsig_time_t now, wsig_notes_t *notes)
{
    wsig_call_word_t *word = &view->words[(uint32_t) call->id];

    call->reason = (uint8_t) reason;
    call->deadline = now.mono + WSIG_CALL_KEPT;
    atomic_store(&word->word, wsig_word(call->id, WSIG_CALL_ENDED));
    (void) wsig_registry_set_call(zone, call->caller, call->id, 0);
    if (call->callee.generation != 0) {
        (void) wsig_registry_set_call(zone, call->callee, call->id, 0);
    }
    wsig_note_all(call, notes);
}

static wsig_ringer_t *
wsig_call_ringer(wsig_call_t *call, wsig_address_t at)
{
    int i;

    for (i = 0; i < call->n_ringers; i++) {
        if (wsig_same(call->ringers[i].at, at)) {
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
                 wsig_address_t callee, bool verified,
                 const wsig_media_t *media, wsig_notes_t *notes)
{
    wsig_call_word_t *word = &view->words[(uint32_t) call->id];

    call->callee = callee;
    call->callee_verified = verified;
    call->callee_media = *media;
    atomic_store(&word->caller, wsig_pack(call->caller));
    atomic_store(&word->callee, wsig_pack(callee));
    atomic_store(&word->word, wsig_word(call->id, WSIG_CALL_ANSWERED));
    wsig_note_all(call, notes);
}

/* Of the calls that this caller made: the one of this ref; too many ended ones
 * are forgotten on the way. */
static uint64_t
wsig_call_of_ref(wsig_calls_view_t *view, const wsig_slot_t *self,
                 const wsig_dial_t *dial)
{
    uint32_t i, last = NOTHING, ended = 0;
    uint64_t id = 0;
    wsig_call_t *call;

    i = view->callers[self->hash & (view->calls->buckets - 1)];
    for (; i != 0; i = view->records[i - 1].next_caller) {
        call = &view->records[i - 1];
        if (!wsig_same(call->caller, dial->caller)) {
            continue;
        }
        if (wsig_call_state(view, i - 1) == WSIG_CALL_ENDED) {
            ended++;
            last = i - 1; /* newer records come first */
        }
        if (dial->ref.size > 0 &&
            wsig_text_same((wsig_text_t){call->ref, call->ref_size},
                           dial->ref)) {
            return call->id;
        }
    }
    if (ended >= WSIG_CALLS_KEPT_EACH) {
        wsig_call_release(view, last);
    }
    return id;
}

/* The calls that ring at a user: counts them, and finds the oldest that this
 * caller made. */
static wsig_call_t *
wsig_call_ringing(wsig_calls_view_t *view, const wsig_realm_id_t *realm,
                  uint32_t hash, wsig_text_t callee, wsig_text_t caller, int *n)
{
    wsig_call_t *call, *found = NULL;
    uint32_t i;

    *n = 0;
    i = view->callees[hash & (view->calls->buckets - 1)];
    for (; i != 0; i = view->records[i - 1].next_callee) {
        call = &view->records[i - 1];
        if (wsig_call_state(view, i - 1) != WSIG_CALL_RINGING ||
            memcmp(&call->realm, realm, sizeof(*realm)) != 0 ||
            !wsig_text_same(wsig_callee_name(call), callee)) {
            continue;
        }
        (*n)++;
        if (wsig_text_same(wsig_caller_name(call), caller)) {
            found = call;
        }
    }
    return found;
}

static void
wsig_call_fill(wsig_calls_view_t *view, uint32_t index,
               const wsig_dial_t *dial, const wsig_slot_t *self,
               const wsig_slot_t *callee, wsig_time_t now)
{
    wsig_call_t *call = &view->records[index];
    uint64_t word = atomic_load(&view->words[index].word);
    uint32_t generation = (uint32_t) (word >> 8) + 1;

    /* Nothing in a free record can be trusted: somebody may have died as he
     * filled it. */
    memset(call, 0, sizeof(*call));
    call->id = (uint64_t) (generation != 0 ? generation : 1) << 32 | index;
    call->realm = self->realm;
    call->caller_hash = self->hash;
    call->callee_hash = callee->hash;
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
wsig_call_meet(wsig_zone_t *zone, wsig_calls_view_t *view,
               const wsig_dial_t *dial, const wsig_slot_t *self,
               wsig_call_t *older, wsig_notes_t *notes)
{
    if (!wsig_call_ring(older, dial->caller)) {
        return WSIG_FULL;
    }
    if (wsig_registry_set_call(zone, dial->caller, 0, older->id) != WSIG_OK) {
        return WSIG_TAKEN;
    }
    wsig_call_answer(view, older, dial->caller,
                     self->flags & WSIG_PEER_VERIFIED, dial->media, notes);
    return WSIG_OK;
}

static int
wsig_call_dial_locked(wsig_zone_t *zone, wsig_calls_view_t *view,
                      const wsig_dial_t *dial, wsig_time_t now, uint64_t *id,
                      wsig_notes_t *notes)
{
    wsig_slot_t self, peers[WSIG_USER_PEERS];
    wsig_address_t at[WSIG_USER_PEERS];
    wsig_call_t *call, *older;
    uint32_t index;
    int i, n, ringing, rc;

    if (wsig_registry_get(zone, dial->caller, &self) != WSIG_OK) {
        return WSIG_ABSENT;
    }
    *id = wsig_call_of_ref(view, &self, dial);
    if (*id != 0) {
        return WSIG_OK;
    }
    if (self.call != 0) {
        return WSIG_TAKEN;
    }
    if (wsig_text_same(wsig_slot_name(&self), dial->to)) {
        return WSIG_ABSENT;
    }
    n = wsig_registry_find(zone, &self.realm, dial->to, peers, at);
    if (n <= 0) {
        return n < 0 ? n : WSIG_ABSENT;
    }
    if (dial->only_verified && !(peers[0].flags & WSIG_PEER_VERIFIED)) {
        return WSIG_FORBIDDEN;
    }
    older = wsig_call_ringing(view, &self.realm, self.hash,
                              wsig_slot_name(&self), dial->to, &ringing);
    (void) wsig_call_ringing(view, &self.realm, peers[0].hash, dial->to,
                             dial->to, &ringing);
    if (older == NULL && ringing >= WSIG_CALLS_RINGING) {
        return WSIG_FULL;
    }
    index = wsig_call_take(zone, view);
    if (index == NOTHING) {
        return WSIG_FULL;
    }
    call = &view->records[index];
    wsig_call_fill(view, index, dial, &self, &peers[0], now);

    if (older != NULL) {
        rc = wsig_call_meet(zone, view, dial, &self, older, notes);
        if (rc == WSIG_OK) {
            call->reason = WSIG_END_GLARE;
            call->into = older->id;
        }
    } else {
        for (i = 0; i < n; i++) {
            if (peers[i].call == 0) {
                wsig_call_ring(call, at[i]);
            }
        }
        call->reason = call->n_ringers == 0 ? WSIG_END_BUSY : WSIG_END_NONE;
        rc = call->reason != WSIG_END_NONE
                 ? WSIG_OK
                 : wsig_registry_set_call(zone, dial->caller, 0, call->id);
    }
    if (rc != WSIG_OK) {
        call->next_caller = view->calls->free;
        view->calls->free = index + 1;
        return rc;
    }
    if (call->reason != WSIG_END_NONE) {
        call->deadline = now.mono + WSIG_CALL_KEPT;
    }
    wsig_call_chain(view, call, index);
    atomic_store(&view->words[index].word,
                 wsig_word(call->id, call->reason != WSIG_END_NONE
                                         ? WSIG_CALL_ENDED
                                         : WSIG_CALL_RINGING));
    if (call->reason == WSIG_END_NONE) {
        wsig_note_all(call, notes);
    }
    *id = call->id;
    return WSIG_OK;
}

int
wsig_call_dial(wsig_zone_t *zone, const wsig_dial_t *dial, wsig_time_t now,
               uint64_t *id, wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    int rc;

    notes->n = 0;
    rc = wsig_call_dial_locked(zone, &view, dial, now, id, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static int
wsig_call_accept_locked(wsig_zone_t *zone, wsig_calls_view_t *view, uint64_t id,
                        wsig_address_t self, const wsig_media_t *media,
                        wsig_notes_t *notes)
{
    wsig_call_t *call = wsig_call_find(zone, view, id);
    int rc;

    if (call == NULL) {
        return WSIG_ABSENT;
    }
    if (wsig_same(call->caller, self)) {
        return WSIG_INVALID;
    }
    if (wsig_call_ringer(call, self) == NULL) {
        return WSIG_ABSENT;
    }
    if (wsig_call_state(view, (uint32_t) id) != WSIG_CALL_RINGING) {
        return WSIG_OK;
    }
    rc = wsig_registry_set_call(zone, self, 0, id);
    if (rc == WSIG_OK) {
        wsig_call_answer(view, call, self, call->callee_verified, media, notes);
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
    rc = wsig_call_accept_locked(zone, &view, id, self, media, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static int
wsig_call_hangup_locked(wsig_zone_t *zone, wsig_calls_view_t *view, uint64_t id,
                        wsig_address_t self, wsig_time_t now, bool *ended,
                        wsig_notes_t *notes)
{
    wsig_call_t *call = wsig_call_find(zone, view, id);
    bool caller;

    *ended = false;
    if (call == NULL) {
        return WSIG_ABSENT;
    }
    caller = wsig_same(call->caller, self);
    if (!caller && wsig_call_ringer(call, self) == NULL) {
        return WSIG_ABSENT;
    }
    switch (wsig_call_state(view, (uint32_t) id)) {
    case WSIG_CALL_RINGING:
        wsig_call_end(zone, view, call,
                      caller ? WSIG_END_CANCELLED : WSIG_END_DECLINED, now,
                      notes);
        *ended = true;
        break;
    case WSIG_CALL_ANSWERED:
        if (caller || wsig_same(call->callee, self)) {
            wsig_call_end(zone, view, call, WSIG_END_HANGUP, now, notes);
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
    rc = wsig_call_hangup_locked(zone, &view, id, self, now, ended, notes);
    wsig_calls_unlock(&view);
    return rc;
}

static bool
wsig_call_left_locked(wsig_zone_t *zone, wsig_calls_view_t *view,
                      wsig_address_t at, bool bye, wsig_time_t now,
                      wsig_notes_t *notes)
{
    wsig_slot_t self;
    wsig_ringer_t *ringer;
    wsig_call_t *call;
    wsig_end_t reason;
    uint32_t i;

    if (wsig_registry_get(zone, at, &self) != WSIG_OK) {
        return false;
    }
    call = self.call != 0 ? wsig_call_find(zone, view, self.call) : NULL;
    if (call != NULL &&
        wsig_call_state(view, (uint32_t) call->id) != WSIG_CALL_ENDED) {
        reason = WSIG_END_GONE;
        if (bye) {
            reason =
                wsig_call_state(view, (uint32_t) call->id) == WSIG_CALL_ANSWERED
                    ? WSIG_END_HANGUP
                    : WSIG_END_CANCELLED;
        }
        wsig_call_end(zone, view, call, reason, now, notes);
        return true;
    }
    i = view->callees[self.hash & (view->calls->buckets - 1)];
    for (; i != 0; i = call->next_callee) {
        call = &view->records[i - 1];
        if (wsig_call_state(view, i - 1) != WSIG_CALL_RINGING) {
            continue;
        }
        ringer = wsig_call_ringer(call, at);
        if (ringer == NULL || ringer->left) {
            continue;
        }
        ringer->left = 1;
        if (!wsig_call_rings(call)) {
            wsig_call_end(zone, view, call, WSIG_END_UNREACHABLE, now, notes);
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
    more = wsig_call_left_locked(zone, &view, self, bye, now, notes);
    wsig_calls_unlock(&view);
    return more;
}

int
wsig_call_joined(wsig_zone_t *zone, wsig_address_t at,
                 uint64_t ids[WSIG_CALLS_RINGING])
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    wsig_slot_t self;
    wsig_call_t *call;
    uint32_t i;
    int n = 0;

    if (wsig_registry_get(zone, at, &self) == WSIG_OK) {
        i = view.callees[self.hash & (view.calls->buckets - 1)];
        for (; i != 0 && n < WSIG_CALLS_RINGING; i = call->next_callee) {
            call = &view.records[i - 1];
            if (wsig_call_state(&view, i - 1) == WSIG_CALL_RINGING &&
                memcmp(&call->realm, &self.realm, sizeof(self.realm)) == 0 &&
                wsig_text_same(wsig_callee_name(call), wsig_slot_name(&self)) &&
                wsig_call_ring(call, at)) {
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
    wsig_call_t *call = wsig_call_find(zone, &view, id);
    int rc = WSIG_ABSENT;

    if (call != NULL && (wsig_same(call->caller, self) ||
                         wsig_call_ringer(call, self) != NULL)) {
        *copy = *call;
        copy->state = wsig_call_state(&view, (uint32_t) id);
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
    if (wsig_pack(self) == caller) {
        at = callee;
    } else if (wsig_pack(self) == callee) {
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
wsig_call_overdue(wsig_zone_t *zone, wsig_calls_view_t *view, wsig_call_t *call,
                  wsig_time_t now)
{
    int i;

    if (!wsig_peer_stands(zone, call->caller)) {
        return WSIG_END_GONE;
    }
    if (wsig_call_state(view, (uint32_t) call->id) == WSIG_CALL_ANSWERED) {
        return wsig_peer_stands(zone, call->callee) ? WSIG_END_NONE
                                                    : WSIG_END_GONE;
    }
    for (i = 0; i < call->n_ringers; i++) {
        if (!call->ringers[i].left &&
            !wsig_peer_stands(zone, call->ringers[i].at)) {
            call->ringers[i].left = 1;
        }
    }
    if (!wsig_call_rings(call)) {
        return WSIG_END_UNREACHABLE;
    }
    return now.mono >= call->deadline ? WSIG_END_NO_ANSWER : WSIG_END_NONE;
}

bool
wsig_call_sweep(wsig_zone_t *zone, uint32_t *cursor, wsig_time_t now,
                wsig_notes_t *notes)
{
    wsig_calls_view_t view = wsig_calls_lock(zone);
    wsig_end_t reason;
    wsig_call_t *call;
    uint32_t end;

    notes->n = 0;
    while (*cursor < view.calls->high && notes->n == 0) {
        end = *cursor + SWEEP_CHUNK;
        for (; *cursor < end && *cursor < view.calls->high && notes->n == 0;
             (*cursor)++) {
            call = &view.records[*cursor];
            switch (wsig_call_state(&view, *cursor)) {
            case WSIG_CALL_FREE:
                break;
            case WSIG_CALL_ENDED:
                if (now.mono >= call->deadline) {
                    wsig_call_release(&view, *cursor);
                }
                break;
            default:
                reason = wsig_call_overdue(zone, &view, call, now);
                if (reason != WSIG_END_NONE) {
                    wsig_call_end(zone, &view, call, reason, now, notes);
                }
            }
        }
        if (notes->n == 0) {
            wsig_calls_unlock(&view);
            view = wsig_calls_lock(zone);
        }
    }
    wsig_calls_unlock(&view);
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
    for (i = 0; i < zone->shared->calls; i++) {
        switch (wsig_call_state(&view, i)) {
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
