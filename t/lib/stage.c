#include "stage.h"

#include "check.h"
#include "wsig_call.h"
#include "wsig_room.h"

void
stage_begin(stage_t *stage, size_t n)
{
    size_t i;

    *stage = (stage_t){.n = n};
    wsig_conf_merge(&stage->conf, NULL);
    stage->conf.resume = 0; /* whoever is lost is gone */
    stage->zone = host_zone(WSIG_ZONE_MIN);
    for (i = 0; i < n; i++) {
        stage->list[i] = &stage->hosts[i];
        CHECK(host_start(&stage->hosts[i], stage->zone) == WSIG_OK);
    }
    stage_settle(stage);
}

void
stage_end(stage_t *stage)
{
    size_t i;

    for (i = 0; i < stage->n; i++) {
        if (stage->hosts[i].worker != NULL) {
            host_stop(&stage->hosts[i]);
        }
    }
    zone_is_empty(stage->zone);
    host_zone_remove(stage->zone);
}

void
zone_is_empty(wsig_zone_t *zone)
{
    uint32_t ringing, answered;

    CHECK(wsig_registry_live(zone) == 0);
    wsig_call_numbers(zone, &ringing, &answered);
    CHECK(ringing == 0 && answered == 0, "%u %u", ringing, answered);
    CHECK(wsig_rooms_live(zone) == 0, "%u", wsig_rooms_live(zone));
}

void
stage_settle(stage_t *stage)
{
    host_settle(stage->list, stage->n);
}

void
stage_pass(stage_t *stage, int64_t ms)
{
    host_pass(stage->list, stage->n, ms);
}

client_t *
stage_open(stage_t *stage, size_t host, const char *name, const char *identity)
{
    return client_open(&stage->hosts[host % stage->n], name, &stage->conf,
                       WSIG_NATIVE, "example.org", identity);
}

static client_t *
joined(stage_t *stage, client_t *client)
{
    client_says(client, "{'type':'hello','name':'%s','watch':'none'}",
                client->name);
    stage_settle(stage);
    EXPECTS(client, "{'type':'welcome','name':'%s'}", client->name);
    return client;
}

client_t *
stage_guest(stage_t *stage, size_t host, const char *name)
{
    return joined(stage, stage_open(stage, host, name, NULL));
}

client_t *
stage_user(stage_t *stage, size_t host, const char *name)
{
    return joined(stage, stage_open(stage, host, name, name));
}

void
stage_forget(stage_t *stage)
{
    client_t *client;
    size_t i;

    for (i = 0; i < stage->n; i++) {
        for (client = stage->hosts[i].clients; client != NULL;
             client = client->next) {
            client_forget(client);
        }
    }
}

void
stage_silent(stage_t *stage, const char *file, int line)
{
    client_t *client;
    size_t i;

    for (i = 0; i < stage->n; i++) {
        for (client = stage->hosts[i].clients; client != NULL;
             client = client->next) {
            client_silent(client, file, line);
        }
    }
}
