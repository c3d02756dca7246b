#include "startup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

int startup_make_dir_of(const char *path, struct error *e)
{
    char dir[256];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path)
        return 0;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    if (mkdir(dir, 0755) && errno != EEXIST)
        return error_set(e, -errno, dir, NULL, "can't be made: %s", strerror(errno));
    return 0;
}

static int read_host_id(struct uuid *id, struct error *e)
{
    char text[UUID_STRLEN + 1] = "";
    int fd = open(HOST_ID_FILE, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? -ENOENT
                               : error_set(e, -errno, HOST_ID_FILE, NULL, "%s", strerror(errno));
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (uuid_parse(text, id))
        return error_set(e, -EINVAL, HOST_ID_FILE, NULL, "does not hold a uuid");
    return 0;
}

/* Whoever links the name first has made the id; the other reads it. */
static int make_host_id(struct uuid *id, struct error *e)
{
    char text[UUID_STRLEN + 1], path[] = HOST_ID_FILE ".XXXXXX";
    int rc = startup_make_dir_of(HOST_ID_FILE, e), fd;

    if (rc)
        return rc;
    uuid_random(id);
    uuid_format(id, text);
    strcat(text, "\n");
    fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, 0644) ||
        fsync(fd) || (link(path, HOST_ID_FILE) && errno != EEXIST))
        rc = error_set(e, -errno, HOST_ID_FILE, NULL, "can't be written: %s", strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return rc ? rc : read_host_id(id, e);
}

int startup_host_id(const char *text, struct uuid *id, struct error *e)
{
    if (text)
        return uuid_parse(text, id)
                   ? error_set(e, -EINVAL, NULL, "--host-id", "\"%s\" is not a uuid", text)
                   : 0;
    int rc = read_host_id(id, e);
    return rc == -ENOENT ? make_host_id(id, e) : rc;
}

void startup_notify(const char *line)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t size = path ? strlen(path) : 0;

    if (!size || size >= sizeof sun.sun_path)
        return;
    memcpy(sun.sun_path, path, size);
    if (*path == '@') /* abstract */
        sun.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, line, strlen(line), MSG_NOSIGNAL, (struct sockaddr *)&sun,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
        log_debug("agent", "service manager not told: %s", strerror(errno));
    close(fd);
}

void startup_drop_privileges(void)
{
    static const int kept[] = {CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN};
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2], want[2] = {0};

    if (syscall(SYS_capget, &h, d))
        return;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        want[kept[i] / 32].permitted |= d[kept[i] / 32].permitted & 1u << kept[i] % 32;
    for (unsigned i = 0; i < 2; i++)
        want[i].effective = want[i].permitted;
    for (int c = 0; c <= CAP_LAST_CAP; c++)
        if (!(want[c / 32].permitted & 1u << c % 32))
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_capset, &h, want))
        log_warn("agent", "privileges not dropped: %s", strerror(errno));
}
