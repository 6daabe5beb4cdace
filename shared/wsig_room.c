#include <string.h>

#include "wsig_room.h"

#define BACK_STEP 64     /* records given memory at a time */
#define SWEEP_EVERY 1000 /* ms */
#define SWEEP_CHUNK 64   /* records looked at under one lock */

typedef struct {
    pthread_mutex_t lock;
    _Atomic int64_t sweep_at; /* when rooms are looked through next */
    _Atomic uint32_t live;
    uint32_t high;    /* records ever used */
    uint32_t backed;  /* records that have memory */
    uint32_t serial;  /* the last one given */
    uint32_t free;    /* index plus 1 */
    uint32_t buckets; /* a power of two */
    uint32_t heads[]; /* of the buckets: index plus 1 */
} wsig_rooms_t;

typedef struct {
    wsig_zone_t *zone;
    wsig_rooms_t *rooms;
    wsig_room_t *records;
} wsig_rooms_view_t;

static void wsig_rooms_repair(wsig_rooms_view_t *view);

static uint32_t
wsig_rooms_buckets(uint32_t rooms)
{
    uint32_t buckets = 256;

    while (buckets < rooms / 2) {
        buckets *= 2;
    }
    return buckets;
}

static wsig_rooms_view_t
wsig_rooms_view(const wsig_zone_t *zone)
{
    wsig_rooms_view_t view;

    view.zone = (wsig_zone_t *) zone;
    view.rooms = wsig_zone_at(zone, zone->shared->rooms_at);
    view.records = wsig_zone_at(zone, zone->shared->room_records_at);
    return view;
}

size_t
wsig_rooms_size(uint32_t rooms)
{
    return sizeof(wsig_rooms_t) + wsig_rooms_buckets(rooms) * sizeof(uint32_t);
}

void
wsig_rooms_init(wsig_zone_t *zone)
{
    wsig_rooms_view_t view = wsig_rooms_view(zone);

    view.rooms->buckets = wsig_rooms_buckets(zone->shared->rooms);
    wsig_mutex_init(&view.rooms->lock);
}

bool
wsig_room_name_valid(wsig_text_t name)
{
    size_t i;
    char c;

    if (name.size < WSIG_ROOM_NAME_MIN || name.size > WSIG_ROOM_NAME_MAX) {
        return false;
    }
    for (i = 0; i < name.size; i++) {
        c = name.data[i];
        if ((c < 'A' || c > 'Z') && (c < 'a' || c > 'z') &&
            (c < '0' || c > '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

static wsig_rooms_view_t
wsig_rooms_lock(wsig_zone_t *zone)
{
    wsig_rooms_view_t view = wsig_rooms_view(zone);

    if (wsig_mutex_lock(&view.rooms->lock)) {
        wsig_rooms_repair(&view);
    }
    return view;
}

static void
wsig_rooms_unlock(wsig_rooms_view_t *view)
{
    pthread_mutex_unlock(&view->rooms->lock);
}

/* The record of a link, which is its index plus 1. */
static wsig_room_t *
wsig_rooms_at(const wsig_rooms_view_t *view, uint32_t link)
{
    return link != 0 ? &view->records[link - 1] : NULL;
}

static uint32_t
wsig_rooms_link(const wsig_rooms_view_t *view, const wsig_room_t *room)
{
    return (uint32_t) (room - view->records) + 1;
}

static uint32_t *
wsig_rooms_bucket(const wsig_rooms_view_t *view, const uint8_t key[16])
{
    uint32_t hash;

    memcpy(&hash, key, sizeof(hash));
    return &view->rooms->heads[hash & (view->rooms->buckets - 1)];
}

static void
wsig_rooms_put(wsig_rooms_view_t *view, wsig_room_t *room)
{
    uint32_t *bucket = wsig_rooms_bucket(view, room->key);

    room->next = *bucket;
    *bucket = wsig_rooms_link(view, room);
    atomic_fetch_add(&view->rooms->live, 1);
}

static void
wsig_rooms_return(wsig_rooms_view_t *view, wsig_room_t *room)
{
    room->next = view->rooms->free;
    view->rooms->free = wsig_rooms_link(view, room);
}

/* Nobody is in it any more. */
static void
wsig_rooms_remove(wsig_rooms_view_t *view, wsig_room_t *room)
{
    uint32_t *link = wsig_rooms_bucket(view, room->key);

    while (wsig_rooms_at(view, *link) != room) {
        link = &wsig_rooms_at(view, *link)->next;
    }
    *link = room->next;
    atomic_fetch_sub(&view->rooms->live, 1);
    wsig_rooms_return(view, room);
}

static bool
wsig_room_empty(const wsig_room_t *room)
{
    int i;

    for (i = 0; i < WSIG_ROOM_MAX; i++) {
        if (room->members[i].at.generation != 0) {
            return false;
        }
    }
    return true;
}

static void
wsig_rooms_repair(wsig_rooms_view_t *view)
{
    wsig_rooms_t *rooms = view->rooms;
    wsig_room_t *room;
    uint32_t i;

    memset(rooms->heads, 0, rooms->buckets * sizeof(uint32_t));
    rooms->free = 0;
    atomic_store(&rooms->live, 0);
    for (i = 0; i < rooms->high; i++) {
        room = &view->records[i];
        if (wsig_room_empty(room)) {
            wsig_rooms_return(view, room);
        } else {
            wsig_rooms_put(view, room);
        }
    }
}

static int
wsig_room_key(const wsig_zone_t *zone, const wsig_realm_id_t *realm,
              wsig_text_t name, uint8_t key[16])
{
    uint8_t data[sizeof(*realm) + WSIG_ROOM_NAME_MAX];

    memcpy(data, realm, sizeof(*realm));
    memcpy(data + sizeof(*realm), name.data, name.size);
    return wsig_zone_hash(zone, data, sizeof(*realm) + name.size, key);
}

static wsig_room_t *
wsig_rooms_find(const wsig_rooms_view_t *view, const uint8_t key[16])
{
    wsig_room_t *room = wsig_rooms_at(view, *wsig_rooms_bucket(view, key));

    while (room != NULL && memcmp(room->key, key, sizeof(room->key)) != 0) {
        room = wsig_rooms_at(view, room->next);
    }
    return room;
}

static wsig_room_t *
wsig_rooms_find_id(const wsig_rooms_view_t *view, uint64_t id)
{
    wsig_room_t *room;

    if ((uint32_t) id >= view->rooms->high) {
        return NULL;
    }
    room = &view->records[(uint32_t) id];
    return room->id == id && !wsig_room_empty(room) ? room : NULL;
}

/* One never used, where there is one with memory or memory for more. */
static wsig_room_t *
wsig_rooms_extend(wsig_rooms_view_t *view)
{
    wsig_zone_t *zone = view->zone;
    wsig_rooms_t *rooms = view->rooms;

    if (rooms->high == rooms->backed && rooms->backed < zone->shared->rooms &&
        wsig_zone_back(zone,
                       zone->shared->room_records_at +
                           (uint64_t) rooms->backed * sizeof(wsig_room_t),
                       BACK_STEP * sizeof(wsig_room_t)) == WSIG_OK) {
        rooms->backed += BACK_STEP;
    }
    return rooms->high < rooms->backed ? &view->records[rooms->high++] : NULL;
}

/* A record for a new room, or NULL: none is left. */
static wsig_room_t *
wsig_rooms_take(wsig_rooms_view_t *view, const uint8_t key[16])
{
    wsig_room_t *room = wsig_rooms_at(view, view->rooms->free);
    uint32_t generation;

    if (room != NULL) {
        view->rooms->free = room->next;
    } else {
        room = wsig_rooms_extend(view);
    }
    if (room == NULL) {
        return NULL;
    }
    generation = (uint32_t) (room->id >> 32) + 1;
    room->id = (uint64_t) (generation != 0 ? generation : 1) << 32 |
               (wsig_rooms_link(view, room) - 1);
    memcpy(room->key, key, sizeof(room->key));
    wsig_rooms_put(view, room);
    return room;
}

static void
wsig_room_copy(const wsig_room_t *room, wsig_room_t *copy)
{
    int i;

    memset(copy, 0, sizeof(*copy));
    copy->id = room->id;
    for (i = 0; i < WSIG_ROOM_MAX; i++) {
        if (room->members[i].at.generation != 0) {
            copy->members[copy->n++] = room->members[i];
        }
    }
}

static wsig_member_t *
wsig_room_find(wsig_room_t *room, wsig_address_t at)
{
    int i;

    for (i = 0; i < WSIG_ROOM_MAX; i++) {
        if (wsig_address_same(room->members[i].at, at)) {
            return &room->members[i];
        }
    }
    return NULL;
}

/* Take out who is gone; returns how many. */
static int
wsig_room_clear(wsig_rooms_view_t *view, wsig_room_t *room)
{
    wsig_member_t *member;
    wsig_slot_t slot;
    int i, n = 0;

    for (i = 0; i < WSIG_ROOM_MAX; i++) {
        member = &room->members[i];
        if (member->at.generation != 0 &&
            wsig_registry_get(view->zone, member->at, &slot) != WSIG_OK) {
            member->at.generation = 0;
            n++;
        }
    }
    return n;
}

static int
wsig_room_add(wsig_rooms_view_t *view, wsig_room_t *room, wsig_address_t self)
{
    wsig_member_t *member = room->members;

    while (member->at.generation != 0) {
        if (++member == room->members + WSIG_ROOM_MAX) {
            return WSIG_FULL;
        }
    }
    member->at.slot = self.slot;
    member->serial = ++view->rooms->serial;
    /* Who kills us does it between two instructions: only the compiler might
     * exchange them. */
    atomic_signal_fence(memory_order_release);
    member->at.generation = self.generation;
    return WSIG_OK;
}

static int
wsig_room_enter_locked(wsig_rooms_view_t *view, const uint8_t key[16],
                       wsig_address_t self, wsig_room_t *copy)
{
    wsig_room_t *room = wsig_rooms_find(view, key);
    int rc = WSIG_OK;

    if (room == NULL) {
        room = wsig_rooms_take(view, key);
        if (room == NULL) {
            return WSIG_NOMEM;
        }
    }
    if (wsig_room_find(room, self) != NULL) {
        rc = WSIG_TAKEN;
    } else {
        /* Who is left learns of it with the newcomer. */
        (void) wsig_room_clear(view, room);
        rc = wsig_room_add(view, room, self);
    }
    wsig_room_copy(room, copy);
    return rc;
}

int
wsig_room_enter(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                wsig_text_t name, wsig_address_t self, wsig_room_t *copy)
{
    wsig_rooms_view_t view;
    uint8_t key[16];
    int rc;

    if (wsig_room_key(zone, realm, name, key) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    view = wsig_rooms_lock(zone);
    rc = wsig_room_enter_locked(&view, key, self, copy);
    wsig_rooms_unlock(&view);
    return rc;
}

static int
wsig_room_leave_locked(wsig_rooms_view_t *view, wsig_room_t *room,
                       wsig_address_t self, wsig_room_t *copy)
{
    wsig_member_t *member = room != NULL ? wsig_room_find(room, self) : NULL;

    if (member == NULL) {
        return WSIG_ABSENT;
    }
    member->at.generation = 0;
    wsig_room_copy(room, copy);
    if (copy->n == 0) {
        wsig_rooms_remove(view, room);
    }
    return WSIG_OK;
}

int
wsig_room_leave(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                wsig_text_t name, wsig_address_t self, wsig_room_t *copy)
{
    wsig_rooms_view_t view;
    uint8_t key[16];
    int rc;

    if (wsig_room_key(zone, realm, name, key) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    view = wsig_rooms_lock(zone);
    rc = wsig_room_leave_locked(&view, wsig_rooms_find(&view, key), self, copy);
    wsig_rooms_unlock(&view);
    return rc;
}

int
wsig_room_leave_id(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                   wsig_room_t *copy)
{
    wsig_rooms_view_t view = wsig_rooms_lock(zone);
    int rc;

    rc = wsig_room_leave_locked(&view, wsig_rooms_find_id(&view, id), self,
                                copy);
    wsig_rooms_unlock(&view);
    return rc;
}

int
wsig_room_read(wsig_zone_t *zone, uint64_t id, wsig_room_t *copy)
{
    wsig_rooms_view_t view = wsig_rooms_lock(zone);
    const wsig_room_t *room = wsig_rooms_find_id(&view, id);

    if (room != NULL) {
        wsig_room_copy(room, copy);
    }
    wsig_rooms_unlock(&view);
    return room != NULL ? WSIG_OK : WSIG_ABSENT;
}

const wsig_member_t *
wsig_room_member(const wsig_room_t *copy, wsig_address_t at)
{
    uint32_t i;

    for (i = 0; i < copy->n; i++) {
        if (wsig_address_same(copy->members[i].at, at)) {
            return &copy->members[i];
        }
    }
    return NULL;
}

bool
wsig_room_sweep_due(wsig_zone_t *zone, wsig_time_t now)
{
    wsig_rooms_view_t view = wsig_rooms_view(zone);
    int64_t at = atomic_load(&view.rooms->sweep_at);

    return now.mono >= at &&
           atomic_compare_exchange_strong(&view.rooms->sweep_at, &at,
                                          now.mono + SWEEP_EVERY);
}

/* At most a chunk of records under one lock; true: a room has to be told. */
static bool
wsig_room_sweep_chunk(wsig_rooms_view_t *view, uint32_t *cursor,
                      wsig_room_t *copy)
{
    wsig_room_t *room;
    int i;

    for (i = 0; i < SWEEP_CHUNK && *cursor < view->rooms->high; i++) {
        room = &view->records[(*cursor)++];
        if (wsig_room_clear(view, room) == 0) {
            continue;
        }
        wsig_room_copy(room, copy);
        if (copy->n > 0) {
            return true;
        }
        wsig_rooms_remove(view, room);
    }
    return false;
}

bool
wsig_room_sweep(wsig_zone_t *zone, uint32_t *cursor, wsig_room_t *copy)
{
    wsig_rooms_view_t view;
    bool more, told;

    do {
        view = wsig_rooms_lock(zone);
        told = wsig_room_sweep_chunk(&view, cursor, copy);
        more = *cursor < view.rooms->high;
        wsig_rooms_unlock(&view);
    } while (more && !told);
    return told;
}

uint32_t
wsig_rooms_live(const wsig_zone_t *zone)
{
    return atomic_load(&wsig_rooms_view(zone).rooms->live);
}
