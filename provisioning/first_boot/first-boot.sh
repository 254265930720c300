#!/bin/sh
# First boot: make the card that `vaora-provision image` wrote a kiosk, offline, as root.
#
#   first-boot.sh              called by the seed from the boot partition: hands over to a unit
#   first-boot.sh run          what the unit does: every step, from wherever the power was cut
#   first-boot.sh step NAME    one of them, as `run` takes it
#   first-boot.sh data PARTITION FOLDER
#                              grow the data partition to its disk's end, and mount it at FOLDER
#
# Each step looks at what is there and does what is missing, so each may be cut and begun again. The
# order keeps two promises: secrets are on disk in their place before the seed is wiped, and the
# services begin after it was (they have ConditionPathExists=!/boot/firmware/vaora), when what they
# record goes to the data partition.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

boot=/boot/firmware
seed=$boot/vaora
# The script's own copy, which outlives the seed, and how far it came.
mine=/usr/local/lib/vaora-first-boot
unit=/etc/systemd/system/vaora-first-boot.service
told=/run/vaora/first-boot
data=/var/lib/vaora-data
identity=/var/lib/vaora-identity
settings=/etc/vaora/kiosk.toml

# In the order of checkin/blinks.py, which the label prints: the one that fails is counted.
steps="packages partition settings identity seed read-only start"

say() { echo "vaora first boot: $*"; }

number() {
    count=0
    for name in $steps; do
        count=$((count + 1))
        [ "$name" != "$1" ] || echo "$count"
    done
}

# Replace the file $1 by standard input: whole, on disk, and never readable to more than $2 lets.
put() {
    beside=$(mktemp "$1.XXXXXX")
    cat > "$beside"
    chmod "$2" "$beside"
    [ -z "${3:-}" ] || chown "$3" "$beside"
    sync "$beside"
    mv -f "$beside" "$1"
    sync "${1%/*}"
}

# --- lights, while there is no kiosk that has them ---

# The Pi's own LED, and the panel's red one and buzzer where Raspberry Pi OS's tool for pins is.
act() {
    for led in /sys/class/leds/ACT /sys/class/leds/led0; do
        [ -w "$led/trigger" ] || continue
        # In a container, and for some other LEDs, it may not be written whatever its mode says.
        case $1 in
        working) { echo heartbeat > "$led/trigger"; } 2> /dev/null || true ;;
        ended) { echo mmc0 > "$led/trigger"; } 2> /dev/null || true ;; # as it was
        *) { echo none > "$led/trigger" && echo "$1" > "$led/brightness"; } 2> /dev/null || true ;;
        esac
    done
}

panel_pin() {
    # The second is where they are once the seed is gone.
    found=$(sed -n "s/^$1 *= *\([0-9][0-9]*\).*/\1/p" "$seed/kiosk.toml" "$settings" 2> /dev/null | head -n 1)
    echo "${found:-$2}"
}

# All of the named pins high or low; 0 is none.
pins() {
    command -v pinctrl > /dev/null || return 0
    level=$1
    shift
    for pin in "$@"; do
        [ "$pin" = 0 ] || pinctrl set "$pin" op "$level" 2> /dev/null || true
    done
}

has_lights() {
    command -v pinctrl > /dev/null || [ -w /sys/class/leds/ACT/trigger ] || [ -w /sys/class/leds/led0/trigger ]
}

# Count $1 with the pins behind $2, which is how long each is lit, and then dark, seconds.
count_out() {
    times=$1 each=$2
    shift 2
    while [ "$times" -gt 0 ]; do
        times=$((times - 1))
        act 1
        pins dh "$@"
        sleep "$each"
        act 0
        pins dl "$@"
        sleep "$each"
    done
}

# A step has begun: its number in quick amber, then the Pi's LED beats on.
show_begun() {
    has_lights || return 0
    count_out "$(number "$1")" 0.15 "$(panel_pin red_pin 27)" "$(panel_pin green_pin 17)"
    act working
}

# A step has failed: its number in red and low beeps, for about as long as a person needs to look
# for the label. Silent after the first two times: it may go on all night.
show_failed() {
    has_lights || return 0
    for round in 1 2 3 4 5; do
        buzzer=0
        [ "$round" -gt 2 ] || buzzer=$(panel_pin buzzer_pin 22)
        count_out "$(number "$1")" 0.3 "$(panel_pin red_pin 27)" "$buzzer"
        sleep 2
    done
}

# --- the steps ---

# Of the seed: that files can't have changed on the way, and that dpkg has them all. A cut leaves
# packages unpacked or half configured; dpkg knows which.
packages() {
    (cd "$seed" && sha256sum --check --strict --quiet packages.sha256) ||
        {
            say "a package isn't what was put on the card: write the card again"
            return 1
        }
    dpkg --configure -a || true
    set --
    for deb in "$seed"/packages/*.deb "$seed"/vaora.deb; do
        [ ! -e "$deb" ] || is_installed "$deb" || set -- "$@" "$deb"
    done
    # The second time serves those that want another one configured before they are unpacked.
    [ $# = 0 ] || dpkg --force-confdef --force-confold --install "$@" ||
        dpkg --force-confdef --force-confold --install "$@"
    sync
}

is_installed() {
    # shellcheck disable=SC2016  # dpkg's own names
    want=$(dpkg-deb --show --showformat='${Package}:${Architecture} ${Version}' "$1")
    # shellcheck disable=SC2016
    there=$(dpkg-query --show --showformat='${Package}:${Architecture} ${Version} ${db:Status-Status}\n' \
        "$(dpkg-deb --field "$1" Package)" 2> /dev/null) || return 1
    echo "$there" | grep -qxF "$want installed"
}

# The partition that / is on, or nothing: in a container and under an overlay there is none.
root_partition() {
    found=$(findmnt --noheadings --raw --output SOURCE / || true)
    [ ! -b "$found" ] || echo "$found"
}

partition() {
    root=$(root_partition)
    if [ -z "$root" ]; then
        say "/ is no partition of a card: the data stays in folders"
        return 0
    fi
    resize2fs "$root"
    partition=$(data_of "$root")
    data_partition "$partition" "$data"
    in_fstab "PARTUUID=$(blkid --match-tag PARTUUID --output value "$partition")" "$data" ext4 \
        defaults,noatime,nodev,nosuid,nofail,x-systemd.device-timeout=30s 2
    for place in state:/var/lib/vaora identity:$identity updates:/var/lib/vaora-updates; do
        mkdir -p "$data/${place%%:*}" "${place#*:}"
        in_fstab "$data/${place%%:*}" "${place#*:}" none bind,nofail 0
        mountpoint --quiet "${place#*:}" || mount "${place#*:}"
    done
    systemctl daemon-reload # it makes its mounts of fstab
    systemd-tmpfiles --create vaora.conf
    sync
}

# The data partition on the same disk as $1: that on a stick with the same label isn't ours.
data_of() {
    disk=$(lsblk --noheadings --raw --output PKNAME "$1" | head -n 1)
    found=
    for one in $(lsblk --noheadings --raw --paths --output NAME "/dev/$disk"); do
        [ "$(blkid --match-tag LABEL --output value "$one" || true)" != vaora-data ] || found="$found $one"
    done
    # shellcheck disable=SC2086  # a list of words
    set -- $found
    if [ $# != 1 ]; then
        say "$# partitions named vaora-data on /dev/$disk, one is wanted: write the card again" >&2
        return 1
    fi
    echo "$1"
}

# Grow the partition $1 to its disk's end and its filesystem to its own, and mount it at $2. A cut
# while the filesystem grows may cost it: then it is made anew, since nothing is in it before the
# next step.
data_partition() {
    ! mountpoint --quiet "$2" || return 0
    grow_to_the_end "$1"
    # Up to 2: it was mended.
    if ! { e2fsck -f -p "$1" || [ $? -le 2 ]; }; then
        say "the data partition is damaged, and made anew"
        mke2fs -q -F -t ext4 -L vaora-data "$1"
    fi
    resize2fs "$1"
    mkdir -p "$2"
    mount -t ext4 -o noatime,nodev,nosuid "$1" "$2"
}

# Room up to this is left by alignment and by a GPT's copy, and not worth writing the table for.
leave=8192 # sectors of 512 bytes
grow_to_the_end() {
    name=${1##*/}
    here=/sys/class/block/$name
    [ -e "$here/partition" ] || return 0
    disk=$(readlink -f "$here/..")
    number=$(cat "$here/partition")
    longest=$(($(cat "$disk/size") - $(cat "$here/start"))) # sectors of 512 bytes
    [ "$((longest - $(cat "$here/size")))" -gt "$leave" ] || return 0
    # One sector is written, at once.
    echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel -N "$number" "/dev/${disk##*/}"
    sync
    # The kernel is told of this one alone: it goes on using the disk's others. One that is open is
    # made longer; else it would be taken away and come back, and its name in /dev with it.
    partx --update --nr "$number" "/dev/${disk##*/}" < "$1"
}

# A line in fstab for the place $2, once.
in_fstab() {
    ! grep -q "^[^#[:space:]]*[[:space:]]$2[[:space:]]" /etc/fstab || return 0
    { cat /etc/fstab && echo "$1 $2 $3 $4 0 $5"; } | put /etc/fstab 644
}

settings() {
    for name in kiosk.toml ca.pem; do
        if [ ! -s "$seed/$name" ]; then
            say "$name isn't on the card: write the card again"
            return 1
        fi
    done
    for name in kiosk.toml ca.pem trust.list revoked.list; do
        [ ! -e "$seed/$name" ] || put "/etc/vaora/$name" 644 < "$seed/$name"
    done
}

identity() {
    for name in claim.pem claim.token; do
        if [ ! -s "$seed/$name" ]; then
            say "$name isn't on the card: write the card again"
            return 1
        fi
        put "$identity/$name" 600 vaora-sync:vaora < "$seed/$name"
    done
    # From here on the seed may be half wiped: what was carried in is not to be taken from it again.
    echo "settings and secrets are in their places" | put "$mine/carried" 644
}

# Overwrite the file $1 where it is, then remove it. What the card itself keeps of it elsewhere is
# beyond us: the token dies with its use, and the claim credential can do nothing else.
wipe() {
    [ -f "$1" ] || return 0
    length=$(stat --format=%s "$1")
    head -c "$length" /dev/zero | dd of="$1" conv=notrunc,fsync status=none
    rm -f "$1"
}

seed() {
    # cloud-init still reads it; its last stage waits for a network, but not for ever.
    ! command -v cloud-init > /dev/null || timeout 300 cloud-init status --wait > /dev/null || true
    # Its work is done, and it would find nothing any more.
    [ ! -d /etc/cloud ] || echo "by Vào Ra's first boot" | put /etc/cloud/cloud-init.disabled 644
    for name in user-data network-config firstrun.sh custom.toml; do
        wipe "$boot/$name"
    done
    if [ -d /etc/cloud ]; then
        printf '#cloud-config\n{}\n' > "$boot/user-data"
        printf 'network:\n  config: disabled\n' > "$boot/network-config"
        printf 'instance-id: vaora\n' > "$boot/meta-data"
    fi
    # cloud-init's own copies: the network's password stands in them and in its log.
    rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/log/journal
    rm -f /var/log/cloud-init.log /var/log/cloud-init-output.log
    if [ -d "$seed" ]; then
        # No secret is in a package or a script, and half a script is nothing to be found there.
        find "$seed" -type f ! -name '*.deb' ! -name '*.sh' | while read -r file; do wipe "$file"; done
        sync
        # The folder goes last: while it is there the services wait, and this step is not done.
        find "$seed" -mindepth 1 -delete
        sync
        rmdir "$seed"
    fi
    sync
    fstrim "$boot" 2> /dev/null || true # the card may forget what lay there
}

# Nothing is written to the card any more but the data partition; after a power cut / is as it was.
read_only() {
    zram_only
    # They would fill the memory that / then is.
    systemctl disable --quiet --now apt-daily.timer apt-daily-upgrade.timer man-db.timer 2> /dev/null || true
    [ -n "$(root_partition)" ] || return 0
    sed -E "s|^([^#[:space:]]+[[:space:]]+${boot}[[:space:]]+vfat[[:space:]]+)defaults([[:space:]])|\1defaults,ro\2|" \
        /etc/fstab > "$mine/fstab"
    cmp --silent "$mine/fstab" /etc/fstab || put /etc/fstab 644 < "$mine/fstab"
    if [ ! -e /usr/share/initramfs-tools/scripts/init-bottom/overlayroot ]; then
        say "overlayroot isn't installed, / stays writable: it belongs among the card's packages"
        return 1
    fi
    image=/boot/initrd.img-$(uname -r)
    lsinitramfs "$image" 2> /dev/null | grep -q scripts/init-bottom/overlayroot || update-initramfs -u
    # recurse=0: the data partition stays what it is.
    printf 'overlayroot_cfgdisk="disabled"\noverlayroot="tmpfs:recurse=0"\n' | put /etc/overlayroot.conf 644
    sync
}

zram_only() {
    if [ -d /etc/rpi ]; then # trixie
        mkdir -p /etc/rpi/swap.conf.d
        printf '[Main]\nMechanism=zram\n' | put /etc/rpi/swap.conf.d/80-vaora.conf 644
    fi
    if [ -e /etc/dphys-swapfile ]; then # bookworm
        systemctl disable --quiet --now dphys-swapfile.service 2> /dev/null || true
        rm -f /var/swap
    fi
}

start() {
    # dpkg enabled them; who calls this has a kiosk in mind.
    systemctl --quiet enable vaora-kiosk.service vaora-sync.service vaora.target
    forget
    if [ -n "$(root_partition)" ] && [ -e /etc/overlayroot.conf ] && [ -z "$unfinished" ]; then
        say "done; booting once more, into a / that nothing is written to"
        systemctl --no-block reboot
        return 0
    fi
    # Not waited for: a door whose camera isn't plugged in is no failure of first boot.
    systemctl --no-block start vaora.target vaora-kiosk.service vaora-sync.service
    say "done"
}

# This unit's work is done, unless a step that may be tried again in the next boot failed.
forget() {
    [ -z "$unfinished" ] || return 0
    rm -f "$told" /etc/systemd/system/multi-user.target.wants/vaora-first-boot.service "$unit"
    rm -rf "$mine"
    sync
}

# --- how they are taken ---

# Say and show a step, then take it. A function that is asked for its success doesn't stop at its
# first failure (set -e), so each runs by itself.
take() {
    say "step $(number "$1") of $(number start), $1"
    [ ! -d "$seed" ] || show_begun "$1"
    status=0
    sh "$0" step "$1" || status=$?
    [ "$status" = 0 ] || failed "$1"
}

# Put there by a rename, which follows no link: the services may run already, and write there too.
tell() {
    mkdir -p "${told%/*}"
    beside=$(mktemp "${told%/*/*}/vaora-first-boot.XXXXXX")
    echo "$1" > "$beside"
    chmod 644 "$beside"
    mv -fT "$beside" "$told"
}

failed() {
    say "step $(number "$1"), $1, failed; see above, it is tried again"
    tell "$1"
    # / that stays writable is no reason not to serve; the kiosk counts the step in its idle light.
    if [ "$1" = read-only ]; then
        unfinished=$1
        return 0
    fi
    show_failed "$1"
    exit 1
}

run() {
    unfinished=
    act working
    if [ ! -e "$mine/carried" ]; then
        if [ ! -d "$seed" ]; then
            say "$seed isn't there and was never carried in: write the card again"
            failed packages
        fi
        for step in packages partition settings identity; do take "$step"; done
    fi
    [ ! -d "$seed" ] || take seed
    take read-only
    say "step $(number start) of $(number start), start"
    # In this very shell, since it knows what is unfinished; but counted like the others if it fails.
    trap 'failed start' EXIT
    start
    trap - EXIT
    act ended
    [ -z "$unfinished" ]
}

# On disk and enabled before anything else: from here on it goes on by itself in whichever boot.
hand_over() {
    mkdir -p "$mine"
    put "$mine/first-boot.sh" 755 < "$0"
    # Not ordered before what wants it (no default dependencies): cloud-init's last stage, which the
    # step "seed" waits for, itself waits for multi-user.target.
    put "$unit" 644 << END
[Unit]
Description=Vào Ra first boot: makes this card a kiosk
DefaultDependencies=no
After=basic.target
Conflicts=shutdown.target
Before=shutdown.target
RequiresMountsFor=$boot
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/sh $mine/first-boot.sh run
Restart=on-failure
RestartSec=60
TimeoutStartSec=infinity
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
END
    systemctl daemon-reload
    systemctl --quiet enable vaora-first-boot.service
    sync
    # Bookworm calls its firstrun.sh in a boot of its own, which then restarts: it begins there.
    if ! grep -q systemd.run= /proc/cmdline; then
        systemctl --no-block start vaora-first-boot.service
    fi
}

case ${1:-} in
"") hand_over ;;
run) run ;;
step)
    case $2 in
    read-only) read_only ;;
    packages | partition | settings | identity | seed) "$2" ;;
    esac
    ;;
data) data_partition "$2" "$3" ;;
*)
    echo "usage: first-boot.sh [run | step NAME | data PARTITION FOLDER]" >&2
    exit 2
    ;;
esac
