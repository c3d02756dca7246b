#include "net/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/link.h"

#define NETNS_DIR "/run/netns"

static void path_of(const char *name, char *path, size_t size)
{
    snprintf(path, size, NETNS_DIR "/%s", name);
}

/* /run/netns is a shared mount of itself, so that names made here show in other mount namespaces
 * (ip-netns(8)). */
static int prepare_dir(struct error *e)
{
    if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
        return error_set(e, -errno, NETNS_DIR, NULL, "%s", strerror(errno));
    if (!mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
        return 0;
    if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) ||
        mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
        return error_set(e, -errno, NETNS_DIR, NULL, "cannot be mounted: %s", strerror(errno));
    return 0;
}

/* In a child, so that this process stays where it is. */
static int mount_new(const char *path)
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return -errno;
    if (!pid)
        _exit(unshare(CLONE_NEWNET) || mount("/proc/self/ns/net", path, "none", MS_BIND, NULL)
                  ? errno
                  : 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int netns_add(const char *name, struct error *e)
{
    char path[128];
    int rc = prepare_dir(e), fd;

    if (rc)
        return rc;
    path_of(name, path, sizeof path);
    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (fd < 0)
        return error_set(e, -errno, name, NULL, "network namespace: %s", strerror(errno));
    close(fd);
    if ((rc = mount_new(path))) {
        unlink(path);
        return error_set(e, rc, name, NULL, "network namespace: %s", strerror(-rc));
    }
    int back = netns_enter(name, e);
    if (back < 0)
        return back;
    rc = net_link_up("lo", true, e);
    netns_leave(back);
    return rc;
}

int netns_del(const char *name)
{
    char path[128];

    path_of(name, path, sizeof path);
    umount2(path, MNT_DETACH);
    return unlink(path) && errno != ENOENT ? -errno : 0;
}

int netns_open(const char *name, struct error *e)
{
    char path[128] = "/proc/thread-self/ns/net";
    int fd;

    if (name)
        path_of(name, path, sizeof path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, -errno, name, NULL, "network namespace: %s", strerror(errno));
    return fd;
}

int netns_enter(const char *name, struct error *e)
{
    int back = netns_open(NULL, e), fd;

    if (back < 0)
        return back;
    fd = netns_open(name, e);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) {
        int rc = fd < 0 ? fd : error_set(e, -errno, name, NULL, "setns: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        close(back);
        return rc;
    }
    close(fd);
    return back;
}

void netns_leave(int back)
{
    if (back < 0)
        return;
    setns(back, CLONE_NEWNET);
    close(back);
}
