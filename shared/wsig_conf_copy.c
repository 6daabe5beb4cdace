#include <stdlib.h>

#include "wsig.h"

/*
 * One block: the settings, the three lists, and the bytes of their texts.
 */

typedef struct {
    wsig_text_t *list; /* where the next list goes */
    char *bytes;       /* where its texts go */
} place_t;

static void measure(const wsig_text_t *texts, size_t n, size_t *size);
static const wsig_text_t *copy(const wsig_text_t *texts, size_t n,
                               place_t *place);
static bool same(const wsig_text_t *a, size_t n_a, const wsig_text_t *b,
                 size_t n_b);

wsig_conf_t *
wsig_conf_copy(const wsig_conf_t *conf)
{
    size_t lists = (conf->n_origins + conf->n_ice_servers + conf->n_secrets) *
                   sizeof(wsig_text_t);
    size_t size = sizeof(*conf) + lists;
    wsig_conf_t *block;
    place_t place;

    measure(conf->origins, conf->n_origins, &size);
    measure(conf->ice_servers, conf->n_ice_servers, &size);
    measure(conf->secrets, conf->n_secrets, &size);
    block = malloc(size);
    if (block == NULL) {
        return NULL;
    }
    *block = *conf;
    place.list = (wsig_text_t *) (block + 1);
    place.bytes = (char *) place.list + lists;
    block->origins = copy(conf->origins, conf->n_origins, &place);
    block->ice_servers = copy(conf->ice_servers, conf->n_ice_servers, &place);
    block->secrets = copy(conf->secrets, conf->n_secrets, &place);
    return block;
}

static void
measure(const wsig_text_t *texts, size_t n, size_t *size)
{
    size_t i;

    for (i = 0; i < n; i++) {
        *size += texts[i].size;
    }
}

static const wsig_text_t *
copy(const wsig_text_t *texts, size_t n, place_t *place)
{
    const wsig_text_t *first = place->list;
    size_t i;

    for (i = 0; i < n; i++) {
        memcpy(place->bytes, texts[i].data, texts[i].size);
        *place->list++ = (wsig_text_t){place->bytes, texts[i].size};
        place->bytes += texts[i].size;
    }
    return first;
}

bool
wsig_conf_same(const wsig_conf_t *a, const wsig_conf_t *b)
{
    return a->identity == b->identity && a->guests == b->guests &&
           a->origin == b->origin && a->max_message == b->max_message &&
           a->max_backlog == b->max_backlog && a->max_peers == b->max_peers &&
           a->rate == b->rate && a->burst == b->burst && a->ping == b->ping &&
           a->hello_timeout == b->hello_timeout &&
           a->ring_timeout == b->ring_timeout && a->resume == b->resume &&
           a->turn_ttl == b->turn_ttl &&
           same(a->origins, a->n_origins, b->origins, b->n_origins) &&
           same(a->ice_servers, a->n_ice_servers, b->ice_servers,
                b->n_ice_servers) &&
           same(a->secrets, a->n_secrets, b->secrets, b->n_secrets);
}

static bool
same(const wsig_text_t *a, size_t n_a, const wsig_text_t *b, size_t n_b)
{
    size_t i;

    for (i = 0; i < n_a && i < n_b; i++) {
        if (!wsig_text_same(a[i], b[i])) {
            return false;
        }
    }
    return n_a == n_b;
}
