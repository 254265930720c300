#!/bin/sh
# Install the package in a copy of an arm64 root: install.sh ROOT PACKAGE LGPIO FOLDER.
# Called in a mount name space and in a network name space of its own, which has no network.
set -eu
root=$1 package=$2 lgpio=$3 folder=$4
cp -a "$root" "$folder/root"
cp "$package" "$folder/root/opt/vaora.deb"
mount -t proc proc "$folder/root/proc"
began=$(date +%s)
chroot "$folder/root" env DEBIAN_FRONTEND=noninteractive dpkg --install /opt/vaora.deb
echo "installed in $(($(date +%s) - began)) s"
umount "$folder/root/proc"
rm "$folder/root/opt/vaora.deb"
# Where Raspberry Pi OS's python3-lgpio lies, which the package recommends.
cp -a "$lgpio/." "$folder/root/usr/lib/python3/dist-packages"
