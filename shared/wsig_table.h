/*
 * wsig_table.h: a hash table of things that carry their own node.  The owner
 * allocates and frees them, and chooses hashes that no client can foresee.
 */

#ifndef WSIG_TABLE_H
#define WSIG_TABLE_H

#include <stdint.h>

typedef struct wsig_node_s {
    struct wsig_node_s *next;
    uint32_t hash;
} wsig_node_t;

typedef struct wsig_table_s {
    wsig_node_t **buckets; /* NULL while empty */
    uint32_t size;         /* a power of two */
    uint32_t n;
} wsig_table_t;

/* Zeroed is empty.  WSIG_NOMEM. */
int wsig_table_add(wsig_table_t *table, wsig_node_t *node, uint32_t hash);
void wsig_table_remove(wsig_table_t *table, wsig_node_t *node);

/* The first node of this hash after `after` (NULL: from the start), or NULL:
 * the caller compares the rest. */
wsig_node_t *wsig_table_find(const wsig_table_t *table, uint32_t hash,
                             const wsig_node_t *after);

/* Only the buckets; the nodes are the owner's. */
void wsig_table_free(wsig_table_t *table);

#endif
