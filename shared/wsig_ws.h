/*
 * wsig_ws.h: WebSocket frames (RFC 6455, section 5), the server's side.
 *
 * A wsig_ws_t reads the frames of one connection from pieces of any size.
 * Between frames it need not be kept.
 * Nothing here knows a socket.
 */

#ifndef WSIG_WS_H
#define WSIG_WS_H

#include "wsig.h"

typedef enum {
    WSIG_WS_MORE, /* all was taken, no event yet */
    WSIG_WS_TEXT, /* a whole text message, valid UTF-8 */
    WSIG_WS_PING, /* data: at most 125 bytes, to be sent back in a pong */
    WSIG_WS_PONG,
    WSIG_WS_CLOSE, /* code: the client's, 1005 where it gave none; data: its
                    * reason; nothing can be read after it */
    WSIG_WS_FAULT  /* code: to close with (1002, 1003, 1007, 1009), or 1013
                    * where memory was short; nothing can be read after it */
} wsig_ws_kind_t;

typedef struct wsig_ws_event_s {
    wsig_ws_kind_t kind;
    uint16_t code;
    uint8_t *data; /* valid until wsig_ws_done or the next wsig_ws_read */
    size_t size;
    const char *why; /* of a fault: static words for the close frame */
} wsig_ws_event_t;

typedef struct wsig_ws_s {
    uint8_t *message; /* what was assembled so far, NULL while nothing is */
    uint8_t *control; /* a control frame that is cut, NULL while none is */
    uint64_t left;    /* payload bytes that the current frame still lacks */
    uint32_t size;    /* of message */
    uint32_t room;    /* of message */
    uint32_t utf8;    /* state of the check at the end of message */
    uint8_t header[14];
    uint8_t header_size; /* bytes of the header that came */
    uint8_t mask_at;     /* next byte of the mask, 0 to 3 */
    uint8_t control_size;
    bool in_payload; /* the header is whole */
    bool in_message; /* the first fragment came, the last has not */
    bool ended;      /* a close or a fault came: the rest is dropped */
} wsig_ws_t;

/* Read one event from data.  Returns how many bytes were taken; call again
 * with the rest while they are fewer than size.  (A text that lies in data
 * whole is unmasked and handed out in place.)  max_message: of a whole message.
 */
size_t wsig_ws_read(wsig_ws_t *ws, uint8_t *data, size_t size,
                    size_t max_message, wsig_ws_event_t *event);

/* The event has been dealt with: give back its memory. */
void wsig_ws_done(wsig_ws_t *ws);

/* Is it as good as a zeroed one, after wsig_ws_done? */
static inline bool
wsig_ws_idle(const wsig_ws_t *ws)
{
    return ws->header_size == 0 && !ws->in_payload && !ws->in_message &&
           !ws->ended;
}

/* Free all; ws is zeroed. */
void wsig_ws_free(wsig_ws_t *ws);

enum {
    WSIG_WS_OPCODE_TEXT = 1,
    WSIG_WS_OPCODE_CLOSE = 8,
    WSIG_WS_OPCODE_PING = 9,
    WSIG_WS_OPCODE_PONG = 10
};

#define WSIG_WS_HEADER_MAX 10 /* of an unmasked frame */

/* Write the header of an unmasked, unfragmented frame; returns its size: 2, 4
 * or 10. */
size_t wsig_ws_header(uint8_t header[WSIG_WS_HEADER_MAX], int opcode,
                      uint64_t size);

#endif
