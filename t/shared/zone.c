/*
 * The zone's file: who makes it, who joins, who is refused, who removes it.
 */

#include "alloc.h"
#include "check.h"
#include "wsig_zone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], path[WSIG_PATH_MAX + 1], error[256];
static char warned[256];

static void
warn(void *ctx, const char *text)
{
    (void) ctx;
    snprintf(warned, sizeof(warned), "%s", text);
}

static int
open_sized(wsig_zone_t **zone, size_t size)
{
    wsig_zone_options_t options = {.path = path,
                                   .size = size,
                                   .uid = geteuid(),
                                   .gid = getegid(),
                                   .warn = warn};

    error[0] = warned[0] = '\0';
    return wsig_zone_open(zone, &options, error, sizeof(error));
}

static wsig_zone_t *
opened(void)
{
    wsig_zone_t *zone;

    CHECK(open_sized(&zone, WSIG_ZONE_MIN) == WSIG_OK, "%s", error);
    CHECK(warned[0] == '\0', "%s", warned);
    return zone;
}

static void
refused(const char *words)
{
    wsig_zone_t *zone;

    CHECK(open_sized(&zone, WSIG_ZONE_MIN) != WSIG_OK, "not refused: %s",
          words);
    CHECK(strstr(error, words) != NULL, "\"%s\" lacks \"%s\"", error, words);
}

/* What lies in the folder, in the order of the alphabet. */
static void
holds(const char *expected)
{
    struct dirent **entries;
    char found[512] = "";
    int i, n = scandir(folder, &entries, NULL, alphasort);

    for (i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            strcat(strcat(found, found[0] != '\0' ? " " : ""),
                   entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    CHECK(strcmp(found, expected) == 0, "\"%s\"", found);
}

static void
first_and_last(void)
{
    wsig_zone_options_t options = {.path = path, .size = WSIG_ZONE_MIN};
    wsig_zone_t *one, *two, *three;
    struct stat st;
    unsigned place;
    uint32_t epoch;
    bool died;

    CHECK(wsig_zone_check(&options, error, sizeof(error)) == WSIG_OK);
    CHECK(access(folder, F_OK) == -1 && errno == ENOENT);
    one = opened();
    holds("zone zone.bells zone.lock");
    CHECK(stat(folder, &st) == 0 && (st.st_mode & 0777) == 0711);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(wsig_zone_check(&options, error, sizeof(error)) == WSIG_OK);
    CHECK(wsig_place_claim(one, &place, &epoch, &died) == WSIG_OK && place == 0);
    CHECK(!wsig_place_others(one, 0));
    two = opened();
    CHECK(memcmp(two->shared->key, one->shared->key, 16) == 0);
    CHECK(wsig_place_lives(two, 0, epoch));
    CHECK(wsig_place_claim(two, &place, &epoch, &died) == WSIG_OK && place == 1);
    CHECK(wsig_place_others(one, 0) && wsig_place_others(two, 1));
    wsig_place_leave(two, 1);
    CHECK(!wsig_place_others(one, 0) && wsig_place_others(two, 1));
    wsig_place_release(two, 1);
    CHECK(wsig_place_claim(two, &place, &epoch, &died) == WSIG_OK && place == 1);
    CHECK(wsig_place_others(one, 0)); /* who comes there does not leave */
    wsig_place_release(two, 1);
    CHECK(!wsig_place_others(one, 0));
    wsig_place_release(one, 0);
    wsig_zone_close(one);
    holds("zone zone.bells zone.lock");
    three = opened();
    CHECK(memcmp(three->shared->key, two->shared->key, 16) == 0);
    wsig_zone_close(two);
    holds("zone zone.bells zone.lock");
    wsig_zone_close(three);
    holds("zone.lock");
    wsig_zone_close(NULL);
}

static void
another_size(void)
{
    wsig_zone_t *one = opened(), *two;

    CHECK(open_sized(&two, 2 * WSIG_ZONE_MIN) == WSIG_OK);
    CHECK(strstr(warned, "keeps its size of 524288 bytes") != NULL, "%s",
          warned);
    CHECK(two->shared->table_size == WSIG_ZONE_MIN);
    wsig_zone_close(one);
    wsig_zone_close(two);
    CHECK(open_sized(&two, 2 * WSIG_ZONE_MIN) == WSIG_OK);
    CHECK(two->shared->table_size == 2 * WSIG_ZONE_MIN && warned[0] == '\0');
    wsig_zone_close(two);
}

/* What was left by the dead is made anew, whatever it is. */
static void
leftovers(void)
{
    static const char *const kinds[] = {"file", "link", "zone"};
    char elsewhere[80], data[8] = "";
    wsig_zone_t *zone;
    uint8_t key[16];
    size_t i;
    int fd;

    snprintf(elsewhere, sizeof(elsewhere), "%s.elsewhere", folder);
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        memset(key, 0, sizeof(key));
        if (kinds[i][0] == 'f') {
            fd = open(path, O_CREAT | O_WRONLY, 0666);
            CHECK(fd != -1 && write(fd, "x", 1) == 1 && close(fd) == 0);
        } else if (kinds[i][0] == 'l') {
            fd = open(elsewhere, O_CREAT | O_WRONLY, 0600);
            CHECK(fd != -1 && write(fd, "mine", 4) == 4 && close(fd) == 0);
            CHECK(symlink(elsewhere, path) == 0);
        } else {
            /* its only user is killed */
            pid_t pid = fork();

            if (pid == 0) {
                opened()->shared->sweep_at = 77;
                raise(SIGKILL);
            }
            waitpid(pid, NULL, 0);
            holds("zone zone.bells zone.lock");
        }
        zone = opened();
        CHECK(zone->shared->sweep_at == 0, "%s", kinds[i]);
        wsig_zone_close(zone);
        holds("zone.lock");
    }
    fd = open(elsewhere, O_RDONLY);
    CHECK(read(fd, data, sizeof(data)) == 4 && strcmp(data, "mine") == 0);
    close(fd);
    unlink(elsewhere);
}

/* While somebody uses the zone nothing is made anew, and nothing but that zone
 * is joined. */
/* Workers of another version are left alone, and found again by their like. */
static void
another_version(void)
{
    wsig_zone_t *old = opened(), *one, *two;
    char lock[WSIG_ZONE_PATH + 8];

    old->shared->layout++;
    CHECK(open_sized(&one, WSIG_ZONE_MIN) == WSIG_OK, "%s", error);
    CHECK(strcmp(one->path, path) != 0);
    CHECK(strstr(warned, "another version") != NULL, "%s", warned);
    wsig_zone_close(old);
    two = opened();
    CHECK(strcmp(one->path, two->path) == 0);
    CHECK(memcmp(one->shared->key, two->shared->key, 16) == 0);
    snprintf(lock, sizeof(lock), "%s.lock", one->path);
    wsig_zone_close(one);
    wsig_zone_close(two);
    CHECK(unlink(lock) == 0); /* it stays, as the other does */
    one = opened();
    CHECK(strcmp(one->path, path) == 0);
    wsig_zone_close(one);
}

static void
foreign(void)
{
    wsig_zone_t *zone = opened();
    char away[96], lock[96];
    int fd;

    snprintf(away, sizeof(away), "%s.away", path);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    CHECK(rename(path, away) == 0);
    CHECK(symlink(away, path) == 0);
    refused("cannot open the zone");
    unlink(path);
    fd = open(path, O_CREAT | O_RDWR, 0600);
    refused("is no zone of this version");
    CHECK(ftruncate(fd, 1 << 20) == 0);
    refused("is no zone of this version");
    close(fd);
    unlink(path);
    CHECK(mkdir(path, 0700) == 0);
    refused("cannot open the zone");
    rmdir(path);
    CHECK(rename(away, path) == 0);
    CHECK(chmod(path, 0666) == 0);
    refused("belongs to another user");
    CHECK(chmod(path, 0600) == 0);
    zone->shared->pid_namespace++;
    refused("another PID namespace");
    zone->shared->pid_namespace--;
    wsig_zone_close(opened());

    CHECK(chmod(folder, 0777) == 0);
    refused("writable by others");
    CHECK(chmod(folder, 0711) == 0);
    if (geteuid() == 0) {
        CHECK(chown(path, 65534, 65534) == 0);
        refused("belongs to another user");
        CHECK(chown(path, 0, 0) == 0);
        CHECK(chown(lock, 65534, 65534) == 0);
        refused("belongs to another user");
        CHECK(chown(lock, 0, 0) == 0);
        CHECK(chown(folder, 65534, 65534) == 0);
        refused("belongs to another user");
        CHECK(chown(folder, 0, 0) == 0);
    }
    /* none of the refused ones removed anything */
    holds("zone zone.bells zone.lock");
    wsig_zone_close(zone);
    holds("zone.lock");

    CHECK(unlink(lock) == 0 && symlink("/etc/passwd", lock) == 0);
    refused("cannot open");
    CHECK(unlink(lock) == 0);
}

static void
wrong_paths(void)
{
    static const char long_path[] = /* one byte too long */
        "/tmp/12345678901234567890123456789012345678901234567890123456789012345"
        "67890123456";
    static const char *const paths[] = {
        "zone", "", "/", "/tmp/", "/nowhere/at/all", long_path,
    };
    wsig_zone_options_t options = {.size = WSIG_ZONE_MIN};
    wsig_zone_t *zone;
    size_t i;

    CHECK(strlen(long_path) == WSIG_PATH_MAX + 1);
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        options.path = paths[i];
        CHECK(wsig_zone_open(&zone, &options, error, sizeof(error)) != WSIG_OK,
              "%s", paths[i]);
        CHECK(error[0] != '\0');
        CHECK(wsig_zone_open(&zone, &options, error, 0) != WSIG_OK);
    }
}

/* A forked child has the lock too; the zone stays until it is gone. */
static void
inherited(void)
{
    wsig_zone_t *zone = opened();
    int pipes[2];
    char byte;
    pid_t pid;

    CHECK(pipe(pipes) == 0);
    pid = fork();
    if (pid == 0) {
        close(pipes[1]);
        byte = (char) read(pipes[0], &byte, 1);
        wsig_zone_close(zone);
        _exit(0);
    }
    wsig_zone_close(zone);
    holds("zone zone.bells zone.lock");
    close(pipes[1]);
    close(pipes[0]);
    waitpid(pid, NULL, 0);
    holds("zone.lock");
}

/* Many open and close at once: whoever opens while one is open gets the same,
 * and it stays while anybody uses it. */
static void
racing_openers(void)
{
    wsig_zone_t *zone, *again;
    int i, round, status;

    for (i = 0; i < 6; i++) {
        if (fork() == 0) {
            for (round = 0; round < 30; round++) {
                zone = opened();
                usleep((useconds_t) (getpid() * 7 + round * 13) % 3000);
                zone->shared->sweep_at = 77;
                again = opened();
                CHECK(memcmp(again->shared->key, zone->shared->key, 16) == 0);
                wsig_zone_close(again);
                CHECK(access(path, F_OK) == 0);
                wsig_zone_close(zone);
            }
            _exit(0);
        }
    }
    while (wait(&status) != -1) {
        CHECK(status == 0, "%d", status);
    }
    zone = opened();
    CHECK(zone->shared->sweep_at == 0); /* all had gone */
    wsig_zone_close(zone);
}

/* ------------------------------------------------------------ no memory */

static void
full_memory(void)
{
    wsig_zone_t *zone;
    unsigned place;
    uint32_t epoch;
    bool died;

    alloc_full(1);
    refused("No space left");
    holds("zone.lock");
    zone = opened();
    alloc_full(1);
    CHECK(wsig_place_claim(zone, &place, &epoch, &died) == WSIG_NOMEM);
    CHECK(wsig_place_claim(zone, &place, &epoch, &died) == WSIG_OK && place == 0);
    CHECK(wsig_place_lives(zone, 0, epoch));
    wsig_place_release(zone, place);
    CHECK(!wsig_place_lives(zone, 0, epoch));
    wsig_zone_close(zone);
    holds("zone.lock");
}

int
main(void)
{
    snprintf(folder, sizeof(folder), "/dev/shm/wsig-zone-test.%d",
             (int) getpid());
    snprintf(path, sizeof(path), "%s/zone", folder);
    first_and_last();
    another_size();
    leftovers();
    foreign();
    another_version();
    wrong_paths();
    inherited();
    racing_openers();
    full_memory();
    snprintf(path, sizeof(path), "%s/zone.lock", folder);
    unlink(path);
    CHECK(rmdir(folder) == 0);
    return 0;
}
