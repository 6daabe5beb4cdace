#include "wsig.h"
#include "wsig_json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum {
    HASH_SIZE = 16, /* of the 32 bytes that SHA-256 gives */
    NONCE_SIZE = 16,
    ENCODED_MAX = 4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1
};

static void put_server(wsig_buffer_t *out, const wsig_conf_t *conf, bool turn);
static int put_credential(wsig_buffer_t *out, wsig_text_t secret,
                          wsig_text_t realm, wsig_text_t name, int64_t expiry);
static int put_user(wsig_buffer_t *user, wsig_text_t secret, wsig_text_t realm,
                    wsig_text_t name, int64_t expiry);
static bool has_server(const wsig_conf_t *conf, bool turn);
static bool is_turn(wsig_text_t url);
static bool sign(const EVP_MD *hash, wsig_text_t secret, const char *data,
                 size_t size, unsigned char out[EVP_MAX_MD_SIZE],
                 unsigned *out_size);
static void to_base64url(char *text);

/*
 * STUN URLs stand apart from TURN URLs: a browser refuses a TURN URL without
 * a credential, and needs none for STUN.
 */
int
wsig_ice_text(const wsig_conf_t *conf, wsig_text_t realm, wsig_text_t name,
              int64_t wall, char **text, size_t *size)
{
    bool stun = has_server(conf, false);
    bool turn = has_server(conf, true) && conf->n_secrets > 0 &&
                (name.size > 0 || !conf->identity);
    int64_t ttl = conf->turn_ttl / 1000;
    wsig_buffer_t out = {0};
    int code = WSIG_OK;

    wsig_put_words(&out, "{\"iceServers\":[");
    if (stun) {
        put_server(&out, conf, false);
        wsig_put_words(&out, turn ? "}," : "}");
    }
    if (turn) {
        put_server(&out, conf, true);
        code = put_credential(&out, conf->secrets[0], realm, name, wall + ttl);
        wsig_put_words(&out, "}");
    }
    wsig_put_words(&out, "],\"ttl\":");
    wsig_put_number(&out, ttl);
    wsig_put_words(&out, "}");
    if (code == WSIG_OK && out.failed) {
        code = WSIG_NOMEM;
    }
    if (code != WSIG_OK) {
        free(out.data);
        return code;
    }
    *text = out.data;
    *size = out.size;
    return WSIG_OK;
}

/* The object is left open. */
static void
put_server(wsig_buffer_t *out, const wsig_conf_t *conf, bool turn)
{
    const char *comma = "";
    size_t i;

    wsig_put_words(out, "{\"urls\":[");
    for (i = 0; i < conf->n_ice_servers; i++) {
        if (is_turn(conf->ice_servers[i]) == turn) {
            wsig_put_words(out, comma);
            wsig_put_string(out, conf->ice_servers[i]);
            comma = ",";
        }
    }
    wsig_put_words(out, "]");
}

/* As coturn's use-auth-secret wants it: the password is the HMAC-SHA1 of the
 * user name, in base64. */
static int
put_credential(wsig_buffer_t *out, wsig_text_t secret, wsig_text_t realm,
               wsig_text_t name, int64_t expiry)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    char password[ENCODED_MAX];
    wsig_buffer_t user = {0};
    unsigned mac_size;
    int code;

    code = put_user(&user, secret, realm, name, expiry);
    if (code == WSIG_OK &&
        !sign(EVP_sha1(), secret, user.data, user.size, mac, &mac_size)) {
        code = WSIG_ERROR;
    }
    if (code == WSIG_OK) {
        EVP_EncodeBlock((unsigned char *) password, mac, (int) mac_size);
        wsig_put_words(out, ",\"username\":");
        wsig_put_string(out, (wsig_text_t){user.data, user.size});
        wsig_put_words(out, ",\"credential\":");
        wsig_put_string(out, (wsig_text_t){password, strlen(password)});
    }
    free(user.data);
    return code;
}

/*
 * "EXPIRY:HASH".  coturn counts quotas by what follows the colon, and logs it,
 * so that it must differ between users and be no name; as the hash is keyed, a
 * reader of that log cannot try names either.  Guests without a name get a
 * random one each, or all of them would share one quota.
 */
static int
put_user(wsig_buffer_t *user, wsig_text_t secret, wsig_text_t realm,
         wsig_text_t name, int64_t expiry)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned char nonce[NONCE_SIZE];
    char hash[ENCODED_MAX];
    wsig_buffer_t whom = {0};
    unsigned mac_size;
    bool signed_it;

    wsig_put_text(&whom, realm);
    wsig_put(&whom, "", 1);
    if (name.size > 0) {
        wsig_put_text(&whom, name);
    } else {
        if (RAND_bytes(nonce, NONCE_SIZE) != 1) {
            free(whom.data);
            return WSIG_ERROR;
        }
        /* a NUL is in no name, so that this is nobody's */
        wsig_put(&whom, "", 1);
        wsig_put(&whom, nonce, NONCE_SIZE);
    }
    if (whom.failed) {
        free(whom.data);
        return WSIG_NOMEM;
    }
    signed_it =
        sign(EVP_sha256(), secret, whom.data, whom.size, mac, &mac_size);
    free(whom.data);
    if (!signed_it) {
        return WSIG_ERROR;
    }
    EVP_EncodeBlock((unsigned char *) hash, mac, HASH_SIZE);
    to_base64url(hash);
    wsig_put_number(user, expiry);
    wsig_put_words(user, ":");
    wsig_put_words(user, hash);
    return user->failed ? WSIG_NOMEM : WSIG_OK;
}

static bool
has_server(const wsig_conf_t *conf, bool turn)
{
    size_t i;

    for (i = 0; i < conf->n_ice_servers; i++) {
        if (is_turn(conf->ice_servers[i]) == turn) {
            return true;
        }
    }
    return false;
}

static bool
is_turn(wsig_text_t url)
{
    return url.data[0] == 't';
}

static bool
sign(const EVP_MD *hash, wsig_text_t secret, const char *data, size_t size,
     unsigned char out[EVP_MAX_MD_SIZE], unsigned *out_size)
{
    if (secret.size > INT_MAX) {
        return false;
    }
    return HMAC(hash, secret.data, (int) secret.size,
                (const unsigned char *) data, size, out, out_size) != NULL;
}

/* RFC 4648, section 5, without padding. */
static void
to_base64url(char *text)
{
    size_t i;

    for (i = 0; text[i] != '\0' && text[i] != '='; i++) {
        if (text[i] == '+') {
            text[i] = '-';
        } else if (text[i] == '/') {
            text[i] = '_';
        }
    }
    text[i] = '\0';
}
