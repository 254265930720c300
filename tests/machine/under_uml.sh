#!/bin/sh
# The first program of the user-mode Linux: mount its disk, show what is on it, serve a door there.
# Its root is the host's folder, its disk /dev/ubda. What it says is read by the test.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t tmpfs tmp /tmp
mount -t ext4 /dev/ubda /mnt || echo "trouble: no disk"
# As the power left it: not the shared memory, which a reboot empties.
rm -f /srv/found/*
for file in /mnt/outbox.db /mnt/outbox.db-wal; do
    [ ! -e "$file" ] || cp "$file" /srv/found || echo "trouble: $file can't be read"
done
echo "found $(uname -r)"
door=$(cat /srv/disk/door)
[ "$door" = off ] && exec sleep 600
cd /srv/project || echo "trouble: no project"
# The door is the test's, the outbox under it the package's.
# shellcheck disable=SC2086  # some words
exec /usr/lib/vaora/current/bin/python -m tests.power.door /mnt/outbox.db $door
