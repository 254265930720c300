#!/bin/sh
# Set up what the Makefile's words need: Debian packages where they are missing, then .venv.
# Called by make; does nothing when .venv is newer than pyproject.toml.
set -eu
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*"; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" > /dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed and was not found; install it, or name it: make PYTHON=…" >&2
    exit 1
}

# Print the Debian packages that are missing here.
missing() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin" command -v mosquitto > /dev/null 2>&1 || echo mosquitto
    command -v mosquitto_pub > /dev/null 2>&1 || echo mosquitto-clients
    command -v openssl > /dev/null 2>&1 || echo openssl
    "$python" -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("zbar"))' 2> /dev/null || echo libzbar0
    # Labels and passes are printed in it: it has every Vietnamese letter.
    [ ! -e /etc/debian_version ] || [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
    [ ! -e /dev/fuse ] || command -v fusermount3 > /dev/null 2>&1 || echo fuse3
    "$python" -c 'import ensurepip, venv' 2> /dev/null || echo python3-venv
}

# What the package is built and tried with, on a Debian; elsewhere those tests are visible skips.
missing_for_benches() {
    [ -e /etc/debian_version ] || return 0
    PATH="$PATH:/usr/sbin" command -v dh > /dev/null 2>&1 || echo debhelper
    command -v dpkg-buildpackage > /dev/null 2>&1 || echo dpkg-dev
    command -v lintian > /dev/null 2>&1 || echo lintian
    command -v systemd-nspawn > /dev/null 2>&1 || echo systemd-container
    command -v mmdebstrap > /dev/null 2>&1 || echo mmdebstrap
    # What images are made and read back with.
    PATH="$PATH:/usr/sbin" command -v sfdisk > /dev/null 2>&1 || echo fdisk
    command -v mcopy > /dev/null 2>&1 || echo mtools
    PATH="$PATH:/usr/sbin" command -v debugfs > /dev/null 2>&1 || echo e2fsprogs
    PATH="$PATH:/usr/sbin" command -v mkfs.fat > /dev/null 2>&1 || echo dosfstools
    PATH="$PATH:/usr/sbin" command -v losetup > /dev/null 2>&1 || echo "mount util-linux"
    command -v shellcheck > /dev/null 2>&1 || echo shellcheck
    command -v gcc > /dev/null 2>&1 || echo "gcc libc6-dev"
    command -v swig > /dev/null 2>&1 || echo swig
    # Python 3.13 has no wheel of lgpio: it is built, with that Python's headers.
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
        "$python" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' || echo python3-dev
    fi
}

# Install packages with apt, as root or through sudo. Returns 1 where that can't be done.
install() {
    command -v apt-get > /dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo > /dev/null 2>&1 && { sudo -n true 2> /dev/null || { [ -t 0 ] && sudo -v; }; }; then
        as_root="sudo"
    else
        return 1
    fi
    # -qq and the log: what apt says matters only when it fails.
    log=$(mktemp)
    # env behind sudo, which drops the environment it is given.
    if $as_root apt-get -qq update > "$log" 2>&1 &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@" >> "$log" 2>&1; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

python=$(find_python)
if [ "${1:-}" = benches ]; then
    packages=$(missing_for_benches | tr '\n' ' ')
    if [ -n "$packages" ]; then
        say "installing $packages, to build the package and to try it"
        # shellcheck disable=SC2086  # a list of words
        if ! install $packages; then
            say "could not install $packages (no apt, or no root)."
            say "going on without: the tests of the package and of the Pi's own libraries are skipped."
        fi
    fi
    touch .venv/benches
    exit
fi
packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
    say "installing $packages"
    # shellcheck disable=SC2086  # a list of words
    if ! install $packages; then
        say "could not install $packages (no apt, or no root)."
        say "going on with what pip alone gives: without libzbar0 codes are read by zxing-cpp alone,"
        say "without mosquitto the demo's broker is amqtt; tests that need what is missing are skipped."
    fi
fi

say "making .venv with $("$python" --version)"
# On a Pi the camera and the pins come from the OS, never from pip.
see_os=""
if "$python" -c 'import picamera2' 2> /dev/null; then see_os="--system-site-packages"; fi
# shellcheck disable=SC2086  # none or one word
if ! "$python" -m venv --clear $see_os .venv > /dev/null 2>&1; then
    # Debian without python3-venv: the environment is made bare, and the system's pip fills it.
    if ! { "$python" -m venv --clear --without-pip $see_os .venv > /dev/null 2>&1 &&
        "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip; }; then
        rm -rf .venv
        say "this Python can't make a virtual environment: install python3-venv (or python3-pip)" >&2
        exit 1
    fi
fi
say "installing packages into it (about a minute)"
log=$(mktemp)
# A name server that is away for a minute is no reason to give up what takes a minute.
for wait_s in 15 45 90 0; do
    if .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' > "$log" 2>&1; then
        break
    fi
    if [ "$wait_s" = 0 ] || ! grep -q "NewConnectionError\|NameResolutionError\|Connection.*timed out" "$log"; then
        cat "$log" >&2
        rm -f "$log"
        say "the packages could not be installed; is there a way to PyPI?" >&2
        exit 1
    fi
    say "no way to PyPI just now; trying again in $wait_s s"
    sleep "$wait_s"
done
rm -f "$log"
touch .venv/ready
say "ready"
