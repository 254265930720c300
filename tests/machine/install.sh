#!/bin/sh
# Run in a forgetful copy of the root, with this folder at /srv/bench: install the package as on a
# kiosk, put beside it what a Pi has and a PC hasn't, then make a disk of all that.
set -eu
dpkg --install /srv/vaora.deb
# Where Raspberry Pi OS's python3-lgpio lies, which the package recommends.
cp -a /srv/lgpio/. /usr/lib/python3/dist-packages

# A Pi's pins, from before the kiosk's first start.
cp /srv/bench/pins.py /srv/bench/panel.py /opt
cat > /etc/systemd/system/pretended-pins.service << 'END'
[Unit]
Description=A Pi's pins, pretended by the kernel's gpio-sim
Before=vaora-kiosk.service
RequiresMountsFor=/sys/kernel/config

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /opt/pins.py make

[Install]
WantedBy=multi-user.target
END
# A Pi's number, by which gpiozero knows the pins of a model: here a Pi 4 of 2 GB. It is all that is
# changed in the kiosk's unit.
printf 'Revision\t: b03115\n' > /opt/cpuinfo
mkdir -p /etc/systemd/system/vaora-kiosk.service.d
printf '[Service]\nBindReadOnlyPaths=/opt/cpuinfo:/proc/cpuinfo\n' \
    > /etc/systemd/system/vaora-kiosk.service.d/pretended.conf
systemctl --quiet enable pretended-pins.service

# The agent logs whatever it is asked.
mkdir -p /etc/systemd/system/qemu-guest-agent.service.d
printf '[Service]\nLogLevelMax=warning\n' \
    > /etc/systemd/system/qemu-guest-agent.service.d/quiet.conf

# The second disk: the outbox has a file system of its own, which can be held still.
echo '/dev/vdb /var/lib/vaora ext4 defaults 0 0' > /etc/fstab

: > /etc/machine-id
echo kiosk > /etc/hostname
# Nobody sits at its terminals, and it doesn't live long enough for chores.
# The broker is started where a test wants one.
systemctl --quiet mask mosquitto.service getty.target serial-getty@ttyS0.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
rm -rf /boot/* /var/cache/apt /var/lib/apt/lists

# The copy as it lies on disk, without what is mounted in it.
mkdir -p /mnt/whole
mount --bind / /mnt/whole
truncate --size=3G /srv/made/disk.img
mke2fs -q -t ext4 -d /mnt/whole /srv/made/disk.img
umount /mnt/whole
# An empty one for the outbox.
truncate --size=256M /srv/made/data.img
mke2fs -q -t ext4 /srv/made/data.img
# What the package installed, for the user-mode Linux, whose root isn't a disk.
cp -a /usr/lib/vaora /srv/made/vaora
