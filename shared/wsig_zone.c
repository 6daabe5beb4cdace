#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <dirent.h>
#include <unistd.h>

#include "wsig_zone.h"
#include "wsig_call.h"
#include "wsig_mailbox.h"
#include "wsig_registry.h"
#include "wsig_session.h"
#include "wsig_room.h"

#define MAGIC UINT64_C(0x77736967206e6531)
#define LAYOUT 3 /* counts changes of meaning: sizes count by themselves */
#define TMPFS_MAGIC 0x01021994
#define ATTEMPTS 100 /* of 20 ms each, to wait for another who opens */

/* The folder that holds the zone, and its names in it. */
typedef struct {
    int folder;
    char name[NAME_MAX + 1];
    char lock[NAME_MAX + 1];
    char fresh[NAME_MAX + 1]; /* under construction */
    char bells[NAME_MAX + 1];
} wsig_files_t;

typedef struct {
    const wsig_zone_options_t *options;
    char *error;
    size_t error_size;
    char path[WSIG_ZONE_PATH];
} wsig_opening_t;

static int wsig_fail(wsig_opening_t *opening, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int wsig_files_open(wsig_opening_t *opening, bool make,
                           wsig_files_t *files);
static int wsig_zone_attach(wsig_opening_t *opening, wsig_files_t *files,
                            wsig_zone_t *zone);
static int wsig_zone_make(wsig_opening_t *opening, wsig_files_t *files,
                          wsig_zone_t *zone);
static int wsig_zone_join(wsig_opening_t *opening, wsig_files_t *files,
                          wsig_zone_t *zone);
static void wsig_zone_lay_out(wsig_shared_t *shared, size_t table_size);
static int wsig_zone_fill(wsig_zone_t *zone, const wsig_shared_t *plan);
static int wsig_bells_make(wsig_opening_t *opening, wsig_files_t *files);
static void wsig_bells_clear(const wsig_files_t *files);
static void wsig_zone_warn(wsig_opening_t *opening, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void
wsig_zone_default_path(const char *server, char path[WSIG_PATH_MAX + 1])
{
    snprintf(path, WSIG_PATH_MAX + 1, "/dev/shm/webrtc-signal.%u.%s/zone",
             (unsigned) geteuid(), server);
}

/* What two modules have to agree on to use one zone. */
static uint32_t
wsig_zone_layout(void)
{
    const uint64_t parts[] = {
        LAYOUT,
        sizeof(wsig_shared_t),
        sizeof(wsig_place_t),
        sizeof(wsig_partition_t),
        sizeof(wsig_slot_t),
        sizeof(wsig_call_t),
        sizeof(wsig_room_t),
        sizeof(wsig_record_t),
        sizeof(wsig_session_t),
        sizeof(wsig_known_t),
        sizeof(wsig_inside_t),
        offsetof(wsig_slot_t, name),
        offsetof(wsig_call_t, ringers),
        offsetof(wsig_room_t, members),
        wsig_calls_size(1),
        wsig_rooms_size(1),
        wsig_changes_size(1),
        WSIG_PARTITION_SLOTS,
        WSIG_RING_SIZE,
        WSIG_CALL_SHARE,
        WSIG_ROOM_SHARE,
    };
    const uint8_t *bytes = (const uint8_t *) parts;
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t i;

    for (i = 0; i < sizeof(parts); i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash;
}

static int
wsig_path_check(wsig_opening_t *opening)
{
    const char *path = opening->options->path;

    if (path[0] != '/' || path[strlen(path) - 1] == '/' ||
        strlen(path) > WSIG_PATH_MAX) {
        return wsig_fail(opening,
                         "the zone's path \"%s\" must be absolute, name a "
                         "file and have at most %d characters",
                         path, WSIG_PATH_MAX);
    }
    strcpy(opening->path, path);
    return WSIG_OK;
}

static int
wsig_zone_open_at(wsig_opening_t *opening, wsig_zone_t **result)
{
    const wsig_zone_options_t *options = opening->options;
    wsig_files_t files;
    wsig_zone_t *zone;
    int rc;

    zone = calloc(1, sizeof(*zone));
    if (zone == NULL) {
        return wsig_fail(opening, "out of memory");
    }
    zone->file = -1;
    zone->lock = -1;
    zone->uid = options->uid;
    zone->gid = options->gid;
    rc = wsig_files_open(opening, true, &files);
    if (rc != WSIG_OK) {
        free(zone);
        return rc;
    }
    strcpy(zone->path, opening->path);
    rc = wsig_zone_attach(opening, &files, zone);
    if (rc == WSIG_OK) {
        rc = wsig_bells_make(opening, &files);
    }
    if (rc == WSIG_OK) {
        zone->mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
        if (zone->mac == NULL) {
            rc = wsig_fail(opening, "OpenSSL has no SipHash here");
        }
    }
    close(files.folder);
    if (rc != WSIG_OK) {
        wsig_zone_close(zone);
        return rc;
    }
    *result = zone;
    return WSIG_OK;
}

/* Where workers of another version use the path, ours get another beside it,
 * and stay there for as long as it is in use. */
int
wsig_zone_open(wsig_zone_t **result, const wsig_zone_options_t *options,
               char *error, size_t error_size)
{
    wsig_opening_t opening = {options, error, error_size, ""};
    char other[WSIG_ZONE_PATH];
    int rc;

    rc = wsig_path_check(&opening);
    if (rc != WSIG_OK) {
        return rc;
    }
    snprintf(other, sizeof(other), "%s.%08x", options->path,
             (unsigned) wsig_zone_layout());
    if (access(other, F_OK) == 0) {
        strcpy(opening.path, other);
    }
    rc = wsig_zone_open_at(&opening, result);
    if (rc == WSIG_TAKEN) {
        wsig_zone_warn(&opening,
                       "the zone \"%s\" is used by another version of this "
                       "module; \"%s\" is made, and the users of the two do "
                       "not meet",
                       opening.path, other);
        strcpy(opening.path, other);
        rc = wsig_zone_open_at(&opening, result);
    }
    return rc;
}

int
wsig_zone_check(const wsig_zone_options_t *options, char *error,
                size_t error_size)
{
    wsig_opening_t opening = {options, error, error_size, ""};
    wsig_files_t files;
    int rc;

    rc = wsig_path_check(&opening);
    if (rc == WSIG_OK) {
        rc = wsig_files_open(&opening, false, &files);
    }
    if (rc == WSIG_OK && files.folder != -1) {
        close(files.folder);
    }
    return rc;
}

void
wsig_zone_close(wsig_zone_t *zone)
{
    wsig_opening_t opening = {0};
    wsig_zone_options_t options = {0};
    wsig_files_t files;
    int lock;

    if (zone == NULL) {
        return;
    }
    EVP_MAC_free(zone->mac);
    if (zone->shared != NULL) {
        munmap(zone->shared, zone->size);
    }
    if (zone->file != -1) {
        close(zone->file);
    }
    if (zone->lock == -1) {
        free(zone);
        return;
    }
    close(zone->lock);

    /* Processes that inherited our lock still hold it; so a lock of its own
     * tells whether anybody is left.  (Workers without the right to remove
     * anything fail here, which is as well.) */
    strcpy(opening.path, zone->path);
    options.path = zone->path;
    opening.options = &options;
    if (wsig_files_open(&opening, false, &files) == WSIG_OK &&
        files.folder != -1) {
        lock =
            openat(files.folder, files.lock, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (lock != -1) {
            if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
                unlinkat(files.folder, files.name, 0);
                wsig_bells_clear(&files);
            }
            close(lock);
        }
        close(files.folder);
    }
    free(zone);
}

static bool
wsig_parent_is_there(const char *folder)
{
    char parent[WSIG_ZONE_PATH];
    char *slash;

    strcpy(parent, folder);
    slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    if (access(parent, W_OK | X_OK) == -1) {
        return false;
    }
    errno = ENOENT;
    return true;
}

/* Open the folder and make the names.  Without make a folder that is not
 * there yet is no error: folder is -1 then. */
static int
wsig_files_open(wsig_opening_t *opening, bool make, wsig_files_t *files)
{
    char folder[WSIG_ZONE_PATH];
    const char *path = opening->path;
    const char *slash = strrchr(path, '/');
    struct stat st;

    files->folder = -1;
    memcpy(folder, path, slash - path + 1);
    folder[slash == path ? 1 : slash - path] = '\0';
    snprintf(files->name, sizeof(files->name), "%s", slash + 1);
    snprintf(files->lock, sizeof(files->lock), "%s.lock", slash + 1);
    snprintf(files->bells, sizeof(files->bells), "%s.bells", slash + 1);
    snprintf(files->fresh, sizeof(files->fresh), "%s.%d", slash + 1,
             (int) getpid());

    if (make && mkdir(folder, 0711) == -1 && errno != EEXIST) {
        return wsig_fail(opening, "cannot make the folder \"%s\": %s", folder,
                         strerror(errno));
    }
    files->folder =
        open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (files->folder == -1) {
        if (!make && errno == ENOENT && wsig_parent_is_there(folder)) {
            return WSIG_OK;
        }
        return wsig_fail(opening, "cannot open the folder \"%s\": %s", folder,
                         strerror(errno));
    }
    if (fstat(files->folder, &st) == -1 ||
        (st.st_uid != 0 && st.st_uid != geteuid()) ||
        ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))) {
        close(files->folder);
        files->folder = -1;
        return wsig_fail(opening,
                         "the folder \"%s\" of the zone belongs to another "
                         "user or is writable by others",
                         folder);
    }
    return WSIG_OK;
}

/* Who holds the lock exclusively makes the zone; who holds it shared uses it.
 * Nobody holds it: what lies there is of the dead, so it is made anew. */
static int
wsig_zone_attach(wsig_opening_t *opening, wsig_files_t *files,
                 wsig_zone_t *zone)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    struct stat st;
    int i, rc;

    zone->lock = openat(files->folder, files->lock,
                        O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (zone->lock == -1) {
        return wsig_fail(opening, "cannot open \"%s.lock\": %s", opening->path,
                         strerror(errno));
    }
    if (fstat(zone->lock, &st) == -1 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid()) {
        return wsig_fail(opening, "\"%s.lock\" belongs to another user",
                         opening->path);
    }
    for (i = 0; i < ATTEMPTS; i++) {
        if (flock(zone->lock, LOCK_EX | LOCK_NB) == 0) {
            rc = wsig_zone_make(opening, files, zone);
            if (rc != WSIG_OK) {
                return rc;
            }
        }
        /* Turning the exclusive lock into a shared one has a gap in which
         * another may make a zone of its own: join looks at what is there. */
        if (flock(zone->lock, LOCK_SH | LOCK_NB) == 0) {
            rc = wsig_zone_join(opening, files, zone);
            if (rc != WSIG_ABSENT) {
                return rc;
            }
            flock(zone->lock, LOCK_UN);
        }
        nanosleep(&pause, NULL);
    }
    return wsig_fail(opening,
                     "the zone \"%s\" is held by a running server, but "
                     "its file is gone; stop that server first",
                     opening->path);
}

static int
wsig_zone_make(wsig_opening_t *opening, wsig_files_t *files, wsig_zone_t *zone)
{
    const char *path = opening->path;
    wsig_zone_t fresh = *zone;
    wsig_shared_t plan;
    struct statfs fs;
    int rc;

    wsig_zone_lay_out(&plan, opening->options->size);
    unlinkat(files->folder, files->name, 0);
    unlinkat(files->folder, files->fresh, 0);
    wsig_bells_clear(files);
    fresh.file =
        openat(files->folder, files->fresh,
               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fresh.file == -1) {
        return wsig_fail(opening, "cannot make the zone \"%s\": %s", path,
                         strerror(errno));
    }
    if (fstatfs(fresh.file, &fs) == 0 && fs.f_type != TMPFS_MAGIC) {
        wsig_zone_warn(opening,
                       "the zone \"%s\" is not on tmpfs: it will be "
                       "written to a disk again and again",
                       path);
    }
    if (ftruncate(fresh.file, (off_t) plan.file_size) == -1) {
        rc = errno;
    } else {
        rc = posix_fallocate(fresh.file, 0, (off_t) plan.records_at);
    }
    if (rc != 0) {
        close(fresh.file);
        unlinkat(files->folder, files->fresh, 0);
        return wsig_fail(opening,
                         "no memory for the zone \"%s\" of %zu "
                         "bytes: %s",
                         path, (size_t) plan.records_at, strerror(rc));
    }
    fresh.size = plan.file_size;
    fresh.shared = mmap(NULL, fresh.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                        fresh.file, 0);
    if (fresh.shared == MAP_FAILED) {
        rc = errno;
        close(fresh.file);
        unlinkat(files->folder, files->fresh, 0);
        return wsig_fail(opening, "cannot map the zone \"%s\": %s", path,
                         strerror(rc));
    }
    if (opening->options->instance != NULL) {
        snprintf(plan.instance, sizeof(plan.instance), "%s",
                 opening->options->instance);
    }
    rc = wsig_zone_fill(&fresh, &plan);
    munmap(fresh.shared, fresh.size);
    close(fresh.file);
    if (rc == 0 && renameat(files->folder, files->fresh, files->folder,
                            files->name) == -1) {
        rc = errno;
    }
    if (rc != 0) {
        unlinkat(files->folder, files->fresh, 0);
        return wsig_fail(opening, "cannot make the zone \"%s\": %s", path,
                         strerror(rc));
    }
    return WSIG_OK;
}

/* WSIG_ABSENT: there is none (yet). */
static int
wsig_zone_join(wsig_opening_t *opening, wsig_files_t *files, wsig_zone_t *zone)
{
    const char *path = opening->path;
    wsig_shared_t *shared;
    struct stat st, ns;

    zone->file =
        openat(files->folder, files->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (zone->file == -1) {
        return errno == ENOENT
                   ? WSIG_ABSENT
                   : wsig_fail(opening, "cannot open the zone \"%s\": %s", path,
                               strerror(errno));
    }
    if (fstat(zone->file, &st) == -1 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077)) {
        return wsig_fail(opening, "the zone \"%s\" belongs to another user",
                         path);
    }
    if ((size_t) st.st_size < sizeof(*shared)) {
        return wsig_fail(opening, "\"%s\" is no zone of this version", path);
    }
    zone->size = (size_t) st.st_size;
    shared = mmap(NULL, zone->size, PROT_READ | PROT_WRITE, MAP_SHARED,
                  zone->file, 0);
    if (shared == MAP_FAILED) {
        return wsig_fail(opening, "cannot map the zone \"%s\": %s", path,
                         strerror(errno));
    }
    zone->shared = shared;
    if (shared->magic == MAGIC && shared->layout != wsig_zone_layout()) {
        return WSIG_TAKEN;
    }
    if (shared->magic != MAGIC || shared->file_size != zone->size) {
        return wsig_fail(opening, "\"%s\" is no zone of this version", path);
    }
    if (stat("/proc/self/ns/pid", &ns) == 0 &&
        shared->pid_namespace != ns.st_ino) {
        return wsig_fail(opening,
                         "the zone \"%s\" is used in another PID namespace: "
                         "choose another path",
                         path);
    }
    if (opening->options->instance != NULL &&
        strncmp(shared->instance, opening->options->instance,
                sizeof(shared->instance) - 1) != 0) {
        wsig_zone_warn(opening,
                       "the zone \"%s\" is used by \"%s\" too: users of "
                       "realms of the same name meet, whoever let them in; "
                       "give each server a path of its own",
                       path, shared->instance);
    }
    if (shared->table_size != opening->options->size) {
        wsig_zone_warn(opening,
                       "the zone \"%s\" keeps its size of %zu bytes until "
                       "the server is stopped",
                       path, (size_t) shared->table_size);
    }
    return WSIG_OK;
}

static uint64_t
wsig_align(uint64_t offset)
{
    return (offset + 4095) & ~UINT64_C(4095);
}

static void
wsig_zone_lay_out(wsig_shared_t *shared, size_t table_size)
{
    uint64_t slots;
    struct stat ns;

    memset(shared, 0, sizeof(*shared));
    shared->layout = wsig_zone_layout();
    shared->table_size = table_size;
    shared->partitions =
        table_size / (WSIG_PARTITION_SLOTS * sizeof(wsig_slot_t));
    if (shared->partitions == 0) {
        shared->partitions = 1;
    }
    slots = (uint64_t) shared->partitions * WSIG_PARTITION_SLOTS;
    shared->calls = slots / WSIG_CALL_SHARE;
    shared->rooms = slots / WSIG_ROOM_SHARE;
    shared->changes = WSIG_PARTITION_SLOTS;
    while (shared->changes < slots / 2) {
        shared->changes *= 2;
    }
    shared->partitions_at = wsig_align(sizeof(*shared));
    shared->slots_at = wsig_align(
        shared->partitions_at + shared->partitions * sizeof(wsig_partition_t));
    shared->changes_at =
        wsig_align(shared->slots_at + slots * sizeof(wsig_slot_t));
    shared->calls_at =
        wsig_align(shared->changes_at + wsig_changes_size(shared->changes));
    shared->rooms_at =
        wsig_align(shared->calls_at + wsig_calls_size(shared->calls));
    shared->records_at =
        wsig_align(shared->rooms_at + wsig_rooms_size(shared->rooms));
    shared->room_records_at = wsig_align(
        shared->records_at + (uint64_t) shared->calls * sizeof(wsig_call_t));
    shared->rings_at =
        wsig_align(shared->room_records_at +
                   (uint64_t) shared->rooms * sizeof(wsig_room_t));
    shared->file_size =
        shared->rings_at + (uint64_t) WSIG_WORKERS * WSIG_RING_SIZE;
    if (stat("/proc/self/ns/pid", &ns) == 0) {
        shared->pid_namespace = ns.st_ino;
    }
}

static int
wsig_zone_fill(wsig_zone_t *zone, const wsig_shared_t *plan)
{
    wsig_shared_t *shared = zone->shared;
    unsigned i;

    *shared = *plan;
    if (getrandom(shared->key, sizeof(shared->key), 0) == -1 ||
        getrandom(shared->token_key, sizeof(shared->token_key), 0) == -1) {
        return errno;
    }
    atomic_init(&shared->orphans_at, INT64_MAX);
    for (i = 0; i < WSIG_WORKERS; i++) {
        wsig_mutex_init(&shared->places[i].life);
        wsig_mutex_init(&shared->places[i].producers);
    }
    wsig_registry_init(zone);
    wsig_calls_init(zone);
    wsig_rooms_init(zone);
    shared->magic = MAGIC;
    return 0;
}

/* The folder of the doorbells belongs to the workers' user, who bind there. */
static int
wsig_bells_make(wsig_opening_t *opening, wsig_files_t *files)
{
    const wsig_zone_options_t *options = opening->options;
    struct stat st;
    int fd, rc = 0;

    if (mkdirat(files->folder, files->bells, 0700) == -1 && errno != EEXIST) {
        return wsig_fail(opening, "cannot make the folder \"%s.bells\": %s",
                         options->path, strerror(errno));
    }
    fd = openat(files->folder, files->bells,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1 || fstat(fd, &st) == -1) {
        rc = errno;
    } else if ((st.st_uid != options->uid || st.st_gid != options->gid) &&
               fchown(fd, options->uid, options->gid) == -1) {
        rc = errno;
    }
    if (fd != -1) {
        close(fd);
    }
    return rc == 0
               ? WSIG_OK
               : wsig_fail(opening, "cannot use the folder \"%s.bells\": %s",
                           options->path, strerror(rc));
}

static void
wsig_bells_clear(const wsig_files_t *files)
{
    struct dirent *entry;
    DIR *dir;
    int fd;

    fd = openat(files->folder, files->bells,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1) {
        return;
    }
    dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        unlinkat(fd, entry->d_name, 0); /* "." and ".." refuse */
    }
    closedir(dir);
    unlinkat(files->folder, files->bells, AT_REMOVEDIR);
}

static int
wsig_fail(wsig_opening_t *opening, const char *format, ...)
{
    va_list args;

    if (opening->error_size > 0) {
        va_start(args, format);
        vsnprintf(opening->error, opening->error_size, format, args);
        va_end(args);
    }
    return WSIG_ERROR;
}

static void
wsig_zone_warn(wsig_opening_t *opening, const char *format, ...)
{
    char text[256];
    va_list args;

    if (opening->options->warn == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    opening->options->warn(opening->options->ctx, text);
}

int
wsig_zone_back(wsig_zone_t *zone, uint64_t offset, uint64_t size)
{
    return posix_fallocate(zone->file, (off_t) offset, (off_t) size) == 0
               ? WSIG_OK
               : WSIG_NOMEM;
}

void
wsig_zone_doorbell(const wsig_zone_t *zone, unsigned place,
                   char path[WSIG_PATH_MAX + 24])
{
    snprintf(path, WSIG_PATH_MAX + 24, "%s.bells/%u", zone->path, place);
}

void
wsig_mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex, &attr);
    pthread_mutexattr_destroy(&attr);
}

bool
wsig_mutex_lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_lock(mutex) != EOWNERDEAD) {
        return false;
    }
    /* Should we die before the repair is done, the next one finds out. */
    pthread_mutex_consistent(mutex);
    return true;
}

int
wsig_zone_hash(const wsig_zone_t *zone, const void *data, size_t size,
               uint8_t hash[16])
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(zone->mac);
    size_t length = 16;
    OSSL_PARAM params[2];
    bool done;

    params[0] = OSSL_PARAM_construct_size_t("size", &length);
    params[1] = OSSL_PARAM_construct_end();
    done = context != NULL &&
           EVP_MAC_init(context, zone->shared->key, sizeof(zone->shared->key),
                        params) &&
           EVP_MAC_update(context, data, size) &&
           EVP_MAC_final(context, hash, &length, 16);
    EVP_MAC_CTX_free(context);
    return done ? WSIG_OK : WSIG_NOMEM;
}
