/* The machine's first program, in its initramfs: loads the modules in /modules in their order,
 * mounts the disk and becomes the disk's own systemd.
 *
 * Debian's initramfs does the same by a shell, udev and 400 modules, which takes a minute under
 * software emulation; this takes a second. Built with musl-gcc -static.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TRIES = 500, PAUSE_US = 20000 }; /* ten seconds for the disk to be found */

static void load(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/modules/%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
        perror(name);
    close(file);
}

static int is_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(void)
{
    struct dirent **names;
    int count = scandir("/modules", &names, is_name, alphasort);

    mount("dev", "/dev", "devtmpfs", 0, 0);
    for (int i = 0; i < count; i++)
        load(names[i]->d_name);
    for (int i = 0; i < TRIES && access("/dev/vda", F_OK) != 0; i++)
        usleep(PAUSE_US);
    if (mount("/dev/vda", "/disk", "ext4", 0, 0) != 0) {
        perror("/dev/vda");
        return 1;
    }
    mount("/dev", "/disk/dev", 0, MS_MOVE, 0);
    if (chdir("/disk") != 0)
        return 1;
    /* From 7.0 on an empty file system lies below the initramfs, so that it can be pivoted from,
     * and a moved mount would leave a root that nothing reaches. Before, it was the other way. */
    if (syscall(SYS_pivot_root, ".", ".") == 0)
        umount2(".", MNT_DETACH);
    else if (mount(".", "/", 0, MS_MOVE, 0) != 0 || chroot(".") != 0)
        return 1;
    if (chdir("/") != 0)
        return 1;
    execl("/sbin/init", "/sbin/init", (char *)0);
    perror("/sbin/init");
    return 1;
}
