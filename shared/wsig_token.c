#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "wsig_token.h"

#define PROOF 16 /* bytes of the hash that are shown */

static bool
wsig_token_prove(const wsig_zone_t *zone, const wsig_bearer_t *bearer,
                 wsig_address_t place, uint32_t number,
                 uint8_t hash[EVP_MAX_MD_SIZE])
{
    uint8_t data[3 * sizeof(uint32_t) + sizeof(*bearer->realm) + WSIG_NAME_MAX];
    const uint32_t numbers[] = {place.slot, place.generation, number};
    size_t size = sizeof(numbers);

    memcpy(data, numbers, sizeof(numbers));
    memcpy(data + size, bearer->realm, sizeof(*bearer->realm));
    size += sizeof(*bearer->realm);
    if (bearer->identity.size > 0) {
        memcpy(data + size, bearer->identity.data, bearer->identity.size);
        size += bearer->identity.size;
    }
    return HMAC(EVP_sha256(), zone->shared->token_key,
                sizeof(zone->shared->token_key), data, size, hash,
                NULL) != NULL;
}

int
wsig_token_write(const wsig_zone_t *zone, const wsig_bearer_t *bearer,
                 wsig_address_t place, uint32_t number,
                 char token[WSIG_TOKEN_ROOM])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    int i, n;

    if (!wsig_token_prove(zone, bearer, place, number, hash)) {
        return WSIG_NOMEM;
    }
    n = sprintf(token, "r%x-%x-%x-", (unsigned) place.slot,
                (unsigned) place.generation, (unsigned) number);
    for (i = 0; i < PROOF; i++) {
        n += sprintf(token + n, "%02x", hash[i]);
    }
    return WSIG_OK;
}

/* What is not written as we write it is none of ours. */
int
wsig_token_read(const wsig_zone_t *zone, const wsig_bearer_t *bearer,
                wsig_text_t token, wsig_address_t *place, uint32_t *number)
{
    char text[WSIG_TOKEN_ROOM], ours[WSIG_TOKEN_ROOM];
    unsigned slot, generation, n;

    if (token.size >= sizeof(text)) {
        return WSIG_INVALID;
    }
    memcpy(text, token.data, token.size);
    text[token.size] = '\0';
    if (sscanf(text, "r%8x-%8x-%8x-", &slot, &generation, &n) != 3 ||
        slot >= zone->shared->partitions * WSIG_PARTITION_SLOTS) {
        return WSIG_INVALID;
    }
    *place = (wsig_address_t){slot, generation};
    *number = n;
    if (wsig_token_write(zone, bearer, *place, n, ours) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    return strlen(ours) == token.size &&
                   CRYPTO_memcmp(ours, text, token.size) == 0
               ? WSIG_OK
               : WSIG_INVALID;
}
