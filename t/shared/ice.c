/*
 * The ICE server list: who gets which servers, and credentials against values
 * that another implementation of HMAC gave.
 */

#include "alloc.h"
#include "check.h"
#include "wsig.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define WALL 1700000000
#define TEXT(words) ((wsig_text_t){words, sizeof(words) - 1})

static const wsig_text_t urls[] = {{"turn:a.org?transport=udp", 24},
                                   {"stun:a.org", 10},
                                   {"turns:a.org:5349", 16},
                                   {"stuns:b.org", 11}};
static const wsig_text_t secrets[] = {{"0123456789abcdef", 16},
                                      {"the one of yesterday", 20}};

static wsig_conf_t
conf_of(size_t first, size_t n_urls)
{
    wsig_conf_t conf = {0};

    wsig_conf_merge(&conf, NULL);
    conf.ice_servers = urls + first;
    conf.n_ice_servers = n_urls;
    conf.secrets = secrets;
    conf.n_secrets = 2;
    return conf;
}

static void
gives(const wsig_conf_t *conf, wsig_text_t realm, wsig_text_t name,
      const char *expected)
{
    char *text = NULL;
    size_t size = 0;

    CHECK(wsig_ice_text(conf, realm, name, WALL, &text, &size) == WSIG_OK);
    CHECK(size == strlen(expected) && memcmp(text, expected, size) == 0,
          "\n  got      %.*s\n  expected %s", (int) size, text, expected);
    free(text);
}

static void
credentials(void)
{
    wsig_conf_t conf = conf_of(2, 1);

#define GIVES(realm, name, user, password)                                     \
    gives(&conf, TEXT(realm), TEXT(name),                                      \
          "{\"iceServers\":[{\"urls\":[\"turns:a.org:5349\"],\"username\":"    \
          "\"1700003600:" user "\",\"credential\":\"" password                 \
          "\"}],\"ttl\":3600}")

    GIVES("example.org", "alice", "qKcYZz8wl4fleUIoP0RlDQ",
          "ocGBCwJce5z8oUG/ratb55rC69g=");
    GIVES("example.org", "bob", "bcdq5rCqY2vK1hkWDnSBgQ",
          "SDPHkfK0/SN+pyiHlU2QU+1D9bM=");
    GIVES("example.net", "alice", "-D0vzB2p7SrrMT5r--rCuw",
          "PmSCtVSCJI5rg8Aiexx+ZKx4DzU=");
    GIVES("example.org", "n36", "3-UHJ_9xE-zMoP7CVxfH2A",
          "upyoH+3X8vrOQcH9fZPJGKyon+A=");
#undef GIVES

    /* in a realm of guests their names are enough; with an identity the name
     * is a proved one */
    conf.identity = true;
    gives(&conf, TEXT("example.org"), TEXT("alice"),
          "{\"iceServers\":[{\"urls\":[\"turns:a.org:5349\"],\"username\":"
          "\"1700003600:qKcYZz8wl4fleUIoP0RlDQ\",\"credential\":"
          "\"ocGBCwJce5z8oUG/ratb55rC69g=\"}],\"ttl\":3600}");
}

static void
groups(void)
{
    wsig_conf_t conf = conf_of(0, 4);

    gives(&conf, TEXT("example.org"), TEXT("alice"),
          "{\"iceServers\":[{\"urls\":[\"stun:a.org\",\"stuns:b.org\"]},"
          "{\"urls\":[\"turn:a.org?transport=udp\",\"turns:a.org:5349\"],"
          "\"username\":\"1700003600:qKcYZz8wl4fleUIoP0RlDQ\",\"credential\":"
          "\"ocGBCwJce5z8oUG/ratb55rC69g=\"}],\"ttl\":3600}");

    conf = conf_of(0, 0);
    gives(&conf, TEXT("example.org"), TEXT("alice"),
          "{\"iceServers\":[],\"ttl\":3600}");

    conf = conf_of(1, 1);
    conf.turn_ttl = 90500;
    gives(&conf, TEXT("example.org"), TEXT(""),
          "{\"iceServers\":[{\"urls\":[\"stun:a.org\"]}],\"ttl\":90}");

    conf = conf_of(0, 2);
    conf.n_secrets = 0;
    gives(&conf, TEXT("example.org"), TEXT("alice"),
          "{\"iceServers\":[{\"urls\":[\"stun:a.org\"]}],\"ttl\":3600}");

    /* a guest where people log in */
    conf = conf_of(0, 2);
    conf.identity = true;
    gives(&conf, TEXT("example.org"), TEXT(""),
          "{\"iceServers\":[{\"urls\":[\"stun:a.org\"]}],\"ttl\":3600}");
    conf = conf_of(0, 1);
    conf.identity = true;
    gives(&conf, TEXT("example.org"), TEXT(""),
          "{\"iceServers\":[],\"ttl\":3600}");
}

/* The user name of a credential for nobody by name; free it. */
static char *
nameless(void)
{
    wsig_conf_t conf = conf_of(0, 4);
    json_error_t error;
    json_t *object;
    json_t *turn;
    size_t size;
    char *text;
    char *user;

    CHECK(wsig_ice_text(&conf, TEXT("example.org"), TEXT(""), WALL, &text,
                        &size) == WSIG_OK);
    object = json_loadb(text, size, 0, &error);
    CHECK(object != NULL, "%s", error.text);
    turn = json_array_get(json_object_get(object, "iceServers"), 1);
    CHECK(strlen(json_string_value(json_object_get(turn, "credential"))) == 28);
    user = strdup(json_string_value(json_object_get(turn, "username")));
    CHECK(user != NULL);
    json_decref(object);
    free(text);
    return user;
}

/* Guests without a name share no quota, so no user name either. */
static void
guests(void)
{
    char *one = nameless();
    char *other = nameless();

    CHECK(strlen(one) == strlen("1700003600:") + 22, "%s", one);
    CHECK(strncmp(one, "1700003600:", 11) == 0);
    CHECK(strcmp(one, other) != 0);
    free(one);
    free(other);
}

/* Names are as odd as a realm may be. */
static void
odd_names(void)
{
    wsig_conf_t conf = conf_of(0, 4);
    char realm[5000];
    json_error_t error;
    json_t *object;
    char *text;
    size_t size;

    memset(realm, 0xff, sizeof(realm));
    CHECK(wsig_ice_text(&conf, (wsig_text_t){realm, sizeof(realm)},
                        TEXT("\"\\\n\0x"), WALL, &text, &size) == WSIG_OK);
    object = json_loadb(text, size, 0, &error);
    CHECK(object != NULL, "%s", error.text);
    json_decref(object);
    free(text);
}

static void
short_of_memory(void)
{
    wsig_conf_t conf = conf_of(0, 4);
    bool failed = true;
    long n;

    for (n = 1; failed; n++) {
        char *text = NULL;
        size_t size;
        int code;

        alloc_fail(n, false);
        code = wsig_ice_text(&conf, TEXT("example.org"), TEXT("alice"), WALL,
                             &text, &size);
        failed = alloc_failed();
        alloc_fail(0, false);
        CHECK(code == (failed ? WSIG_NOMEM : WSIG_OK), "%ld: %d", n, code);
        free(text);
    }
    CHECK(n > 3);
}

int
main(void)
{
    credentials();
    groups();
    guests();
    odd_names();
    short_of_memory();
    return 0;
}
