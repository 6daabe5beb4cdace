#include <stdlib.h>

#include "wsig.h"
#include "wsig_table.h"

#define FIRST_SIZE 8

static void
wsig_table_put(wsig_node_t **buckets, uint32_t size, wsig_node_t *node)
{
    wsig_node_t **bucket = &buckets[node->hash & (size - 1)];

    node->next = *bucket;
    *bucket = node;
}

/* A table that cannot grow only gets slower. */
static void
wsig_table_grow(wsig_table_t *table)
{
    uint32_t i, size = table->size > 0 ? table->size * 2 : FIRST_SIZE;
    wsig_node_t **buckets = calloc(size, sizeof(*buckets));
    wsig_node_t *node, *next;

    if (buckets == NULL) {
        return;
    }
    for (i = 0; i < table->size; i++) {
        for (node = table->buckets[i]; node != NULL; node = next) {
            next = node->next;
            wsig_table_put(buckets, size, node);
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->size = size;
}

int
wsig_table_add(wsig_table_t *table, wsig_node_t *node, uint32_t hash)
{
    if (table->n >= table->size) {
        wsig_table_grow(table);
    }
    if (table->size == 0) {
        return WSIG_NOMEM;
    }
    node->hash = hash;
    wsig_table_put(table->buckets, table->size, node);
    table->n++;
    return WSIG_OK;
}

void
wsig_table_remove(wsig_table_t *table, wsig_node_t *node)
{
    wsig_node_t **link = &table->buckets[node->hash & (table->size - 1)];

    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    table->n--;
}

wsig_node_t *
wsig_table_find(const wsig_table_t *table, uint32_t hash,
                const wsig_node_t *after)
{
    wsig_node_t *node;

    if (table->size == 0) {
        return NULL;
    }
    node =
        after != NULL ? after->next : table->buckets[hash & (table->size - 1)];
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

void
wsig_table_free(wsig_table_t *table)
{
    free(table->buckets);
    *table = (wsig_table_t){0};
}
