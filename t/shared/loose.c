/*
 * What the loose scan says of the texts on stdin, each with its size in four
 * bytes before it (the highest first): a line "invalid", "twice", or which of
 * the keys the object has.  loose.t compares it with JSON.parse.
 */

#include "check.h"
#include "wsig_json.h"

#include <stdint.h>

enum {
    KEYS = 3,
    TEXT_MAX = 1 << 20
};

static const wsig_text_t keys[KEYS] = {
    {"userlist", 8}, {"error", 5}, {"from", 4}};

int
main(void)
{
    wsig_value_t values[KEYS];
    uint8_t size[4];
    wsig_text_t text;
    char *data;
    int i, rc;

    while (fread(size, 1, 4, stdin) == 4) {
        text.size =
            (size_t) size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
        CHECK(text.size <= TEXT_MAX);
        data = malloc(text.size + 1); /* its end is watched by the sanitizer */
        CHECK(data != NULL);
        text.data = data + 1;
        CHECK(fread(data + 1, 1, text.size, stdin) == text.size);
        rc = wsig_scan_loose(text, keys, KEYS, values);
        CHECK(rc == WSIG_OK || rc == WSIG_INVALID || rc == WSIG_TAKEN);
        if (rc == WSIG_OK) {
            printf("object");
            for (i = 0; i < KEYS; i++) {
                if (values[i].kind != WSIG_JSON_NONE) {
                    printf(" %s", keys[i].data);
                }
            }
        }
        puts(rc == WSIG_OK ? "" : rc == WSIG_TAKEN ? "twice" : "invalid");
        free(data);
    }
    return 0;
}
