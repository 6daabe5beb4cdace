#include <stdlib.h>

#include "wsig_call.h"
#include "wsig_json.h"
#include "wsig_room.h"

/* Names and meanings, in the text format of Prometheus, version 0.0.4. */
static const struct {
    const char *name;
    const char *help;
} wsig_counters[WSIG_COUNTERS] = {
    [WSIG_COUNT_CONNECTIONS] = {"connections", "WebSocket connections opened"},
    [WSIG_COUNT_TEXTS_IN] = {"texts_received", "Texts received from clients"},
    [WSIG_COUNT_FRAMES_OUT] = {"frames_sent", "Frames sent to clients"},
    [WSIG_COUNT_RELAYED] = {"texts_relayed", "Texts from peer to peer"},
    [WSIG_COUNT_MAILED] = {"texts_mailed",
                           "Texts among them that went to another worker"},
    [WSIG_COUNT_CALLS] = {"calls", "Calls dialled"},
    [WSIG_COUNT_ANSWERED] = {"calls_answered", "Calls answered"},
    [WSIG_COUNT_ERRORS] = {"errors", "Error texts sent to clients"},
    [WSIG_COUNT_HELD] = {"held", "Times a peer over its rate was held back"},
    [WSIG_COUNT_SLOW] = {"slow", "Peers closed because they did not read"},
    [WSIG_COUNT_CLOSES] = {"closes", "Connections closed by the server"},
    [WSIG_COUNT_DEATHS] = {"worker_deaths", "Workers found dead"},
    [WSIG_COUNT_RESUMES] = {"resumes", "Peers that came back to their place"},
    [WSIG_COUNT_LOST] = {"resumes_lost", "Peers among them that lost texts"},
    [WSIG_COUNT_GOODBYES] = {"goodbyes", "Clients asked to reconnect"},
};

static void
wsig_put_metric(wsig_buffer_t *out, const char *name, const char *suffix,
                const char *kind, const char *help, uint64_t value)
{
    wsig_put_words(out, "# HELP webrtc_signal_");
    wsig_put_words(out, name);
    wsig_put_words(out, suffix);
    wsig_put_words(out, " ");
    wsig_put_words(out, help);
    wsig_put_words(out, ".\n# TYPE webrtc_signal_");
    wsig_put_words(out, name);
    wsig_put_words(out, suffix);
    wsig_put_words(out, " ");
    wsig_put_words(out, kind);
    wsig_put_words(out, "\nwebrtc_signal_");
    wsig_put_words(out, name);
    wsig_put_words(out, suffix);
    wsig_put_words(out, " ");
    wsig_put_number(out, (int64_t) value);
    wsig_put_words(out, "\n");
}

static void
wsig_put_gauge(wsig_buffer_t *out, const char *name, const char *help,
               uint64_t value)
{
    wsig_put_metric(out, name, "", "gauge", help, value);
}

void
wsig_status_numbers(wsig_zone_t *zone, wsig_numbers_t *numbers)
{
    const wsig_shared_t *shared = zone->shared;
    uint32_t ringing, answered;
    int i;

    wsig_call_numbers(zone, &ringing, &answered);
    *numbers = (wsig_numbers_t){
        .peers = wsig_registry_live(zone),
        .peers_max = (uint64_t) shared->partitions * WSIG_PARTITION_SLOTS,
        .calls_ringing = ringing,
        .calls_active = answered,
        .rooms = wsig_rooms_live(zone),
    };
    for (i = 0; i < WSIG_WORKERS; i++) {
        numbers->workers += atomic_load(&shared->places[i].epoch) & 1;
    }
}

int
wsig_status_text(wsig_zone_t *zone, char **text, size_t *size)
{
    const wsig_shared_t *shared = zone->shared;
    wsig_numbers_t numbers;
    wsig_buffer_t out = {0};
    uint64_t sum;
    int i, j;

    wsig_status_numbers(zone, &numbers);
    wsig_put_gauge(&out, "peers", "Peers that have joined, lost ones included",
                   numbers.peers);
    wsig_put_gauge(&out, "peers_max", "Peers that the zone has room for",
                   numbers.peers_max);
    wsig_put_gauge(&out, "calls_ringing", "Calls that ring",
                   numbers.calls_ringing);
    wsig_put_gauge(&out, "calls_active", "Calls that are answered",
                   numbers.calls_active);
    wsig_put_gauge(&out, "rooms", "Rooms with members", numbers.rooms);
    wsig_put_gauge(&out, "workers", "Workers that serve peers",
                   numbers.workers);
    for (i = 0; i < WSIG_COUNTERS; i++) {
        for (j = 0, sum = 0; j < WSIG_WORKERS; j++) {
            sum += atomic_load_explicit(&shared->places[j].counters[i],
                                        memory_order_relaxed);
        }
        wsig_put_metric(&out, wsig_counters[i].name, "_total", "counter",
                        wsig_counters[i].help, sum);
    }
    if (out.failed) {
        free(out.data);
        return WSIG_NOMEM;
    }
    *text = out.data;
    *size = out.size;
    return WSIG_OK;
}
