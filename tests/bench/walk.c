/* The safe walk in C by one thread, with the rules of aen/acl for one owner: what `compute.py` compares with.
   walk TOP UID GID DIRECTORY_ACL FILE_ACL (ACLs in hexadecimal, as the kernel keeps them) */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *ACCESS = "system.posix_acl_access", *DEFAULT = "system.posix_acl_default";
static unsigned char dir_acl[4096], file_acl[4096];
static size_t dir_len, file_len;
static uid_t owner;
static gid_t group;
static dev_t device;
static long looked, changed;

static size_t unhex(const char *text, unsigned char *into) {
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) sscanf(text + 2 * i, "%2hhx", into + i);
    return n;
}

static int differs(ssize_t n, const unsigned char *have, size_t len, const unsigned char *want) {
    return n != (ssize_t)len || memcmp(have, want, len);
}

static void file(int dir, const char *name, struct stat *st) {
    char path[512];
    unsigned char have[4096];
    looked++;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
    if (st->st_uid == owner && st->st_gid == group &&
        !differs(lgetxattr(path, ACCESS, have, sizeof have), have, file_len, file_acl)) return;
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    struct stat now;
    if (!fstat(fd, &now) && S_ISREG(now.st_mode)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if ((now.st_uid != owner || now.st_gid != group) && chown(path, owner, group)) perror("chown");
        if (setxattr(path, ACCESS, file_acl, file_len, 0)) perror("setxattr");
        changed++;
    }
    close(fd);
}

static void directory(int fd) {
    unsigned char have[4096];
    struct stat st;
    int touched = 0;
    looked++;
    if (fstat(fd, &st) || st.st_dev != device) return;
    if ((st.st_uid != owner || st.st_gid != group) && !fchown(fd, owner, group)) touched = 1;
    if (differs(fgetxattr(fd, ACCESS, have, sizeof have), have, dir_len, dir_acl)) touched |= !fsetxattr(fd, ACCESS, dir_acl, dir_len, 0);
    if (differs(fgetxattr(fd, DEFAULT, have, sizeof have), have, dir_len, dir_acl)) touched |= !fsetxattr(fd, DEFAULT, dir_acl, dir_len, 0);
    if (!(st.st_mode & S_ISGID)) touched |= !fchmod(fd, 02771);
    changed += touched;
    DIR *stream = fdopendir(dup(fd));
    if (!stream) return;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISREG(st.st_mode)) file(fd, entry->d_name, &st);
        else if (S_ISDIR(st.st_mode)) {
            int deeper = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
            if (deeper >= 0) { directory(deeper); close(deeper); }
        }
    }
    closedir(stream);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return 1;
    device = st.st_dev;
    owner = atoi(argv[2]);
    group = atoi(argv[3]);
    dir_len = unhex(argv[4], dir_acl);
    file_len = unhex(argv[5], file_acl);
    directory(fd);
    printf("%ld %ld\n", looked, changed);
    return 0;
}
