#!/bin/sh
# Make an SD card of a root with the package: card.sh ROOT BENCH FOLDER SIZE, in a mount name space.
set -eu
root=$1 bench=$2 folder=$3 size=$4
mkdir "$folder/boot" "$folder/layers"
cp "$root"/boot/vmlinuz-* "$folder/boot/kernel"
cp "$root"/boot/initrd.img-* "$folder/boot/initrd"
cp "$root"/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb "$folder/boot/tree"
# What a Pi's firmware tells Linux of the board: a 3B of 1 GB. gpiozero knows its pins by it.
fdtput --create "$folder/boot/tree" /system
fdtput --type x "$folder/boot/tree" /system linux,revision a02082

mount -t tmpfs tmpfs "$folder/layers"
mkdir "$folder/layers/upper" "$folder/layers/work" "$folder/layers/root"
layers="lowerdir=$root,upperdir=$folder/layers/upper,workdir=$folder/layers/work"
mount -t overlay -o "$layers" overlay "$folder/layers/root"
cd "$folder/layers/root"
: > etc/machine-id
echo kiosk > etc/hostname
rm -rf boot/*
cp "$bench/report.py" opt
# Emulated, on a busy host, Python takes as long to start as a Pi does to boot.
mkdir -p etc/systemd/system/vaora-kiosk.service.d
printf "[Service]\nTimeoutStartSec=10min\n" > etc/systemd/system/vaora-kiosk.service.d/slow.conf
# Says on the serial line how the kiosk is, once both its programs are ready.
cat > etc/systemd/system/report.service << 'END'
[Unit]
Description=Say on the serial line how the kiosk is
After=vaora-kiosk.service vaora-sync.service

[Service]
ExecStart=/usr/bin/python3 /opt/report.py
StandardOutput=tty

[Install]
WantedBy=multi-user.target
END
systemctl --quiet --root=. enable report.service
# Nobody sits at its terminals, and it doesn't live long enough for chores.
systemctl --quiet --root=. mask getty.target serial-getty@ttyAMA0.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
truncate --size="$size" "$folder/card.img"
mke2fs -q -t ext4 -L root -d . "$folder/card.img"
cd /
umount "$folder/layers/root" "$folder/layers"
rmdir "$folder/layers"
