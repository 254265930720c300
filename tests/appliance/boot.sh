#!/bin/bash
# Boot the Debian in ROOT with its own systemd; what it writes goes to memory and is gone at its end.
# Called in mount and cgroup name spaces of its own: boot.sh ROOT SHARED [CARD [DISK]]. The host needs
# no systemd. With CARD, a folder of files that lie over ROOT's before the first boot, it boots again
# with what was written whenever its power was cut: SHARED/power-cut says that it was, and goes. With
# DISK, an image whose second partition has the same Debian, it boots from that.
set -eu
root=$1 shared=$2 card=${3:-} disk=${4:-}

# Nothing that is mounted here may show outside. In a chroot / is no mount point, and nothing does.
mount --make-rprivate / 2> /dev/null || true
# systemd wants the pure cgroup hierarchy; the host may have the mixed one.
umount -lR /sys/fs/cgroup 2> /dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
# nspawn keeps its state here, and another one may run with the same name.
mount -t tmpfs -o mode=755 none /run
mkdir /run/appliance
mount -t tmpfs -o mode=755,size=2g none /run/appliance
mkdir /run/appliance/{written,work,root}
on=/run/appliance/root
devices=()
if [ -n "$disk" ]; then
    loop=$(losetup --find --partscan --show "$disk")
    partx --add "$loop" 2> /dev/null || true # where the kernel didn't by itself
    mount "${loop}p2" "$on"
    losetup --detach "$loop" # when nobody uses it any more
    devices=("--bind=$loop" "--bind=${loop}p2" "--bind=${loop}p3")
else
    mount -t overlay -o "lowerdir=$root,upperdir=/run/appliance/written,workdir=/run/appliance/work" \
        none "$on"
fi
: > "$on/etc/machine-id" # a first boot
[ -z "$card" ] || cp -R --no-dereference "$card/." "$on"

# The host's network: the broker is outside. What must not have it is refused it by its own unit.
boot() {
    # In a container systemd mounts no devices of fstab: that is done here.
    if [ -n "$disk" ] && grep -q /var/lib/vaora-data "$on/etc/fstab"; then
        mountpoint --quiet "$on/var/lib/vaora-data" || mount "${loop}p3" "$on/var/lib/vaora-data"
    fi
    setpriv --pdeathsig KILL systemd-nspawn --quiet --directory="$on" --boot "${devices[@]}" \
        --register=no --keep-unit --machine=appliance --console=read-only \
        --bind="$shared:/mnt/shared" --resolv-conf=off --timezone=off --link-journal=no \
        --capability=CAP_NET_ADMIN
}
until boot; do
    [ -e "$shared/power-cut" ] || exit 1
    rm "$shared/power-cut"
    echo "the power is back"
done
