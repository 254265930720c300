#!/bin/sh
# Build vaora_VERSION_ARCH.deb for each ARCH given (arm64 amd64), into build/. Called by make.
# The same sources give the same bytes: versions and hashes are in requirements.txt, times are those
# of the last commit.
set -eu
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C.UTF-8 TZ=UTC
# Tools of other Pythons in PATH are not what a package is built with.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
python=$PWD/.venv/bin/python
out=$PWD/build
wheels=$out/wheels

version=${VERSION:-$(sed -n 's/^version = "\([^"]*\)".*/\1/p' pyproject.toml)}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2> /dev/null || stat -c %Y pyproject.toml)}"
export SOURCE_DATE_EPOCH

for tool in dpkg-buildpackage dh; do
    command -v "$tool" > /dev/null || missing="${missing:-} $tool"
done
if [ -n "${missing:-}" ]; then
    echo "deb:$missing missing; apt install dpkg-dev debhelper" >&2
    exit 1
fi

# One at a time: two would write into each other's folders.
mkdir -p "$out"
exec 9> "$out/deb.lock"
flock 9

# What pip calls the machines, and how old a C library each wheel was built for.
platforms() {
    echo "--platform manylinux2014_$1"
    for glibc in 17 24 26 27 28 31 34; do echo "--platform manylinux_2_${glibc}_$1"; done
}

fetch() {
    machine=$1
    folder=$wheels/$machine
    if [ "$folder/fetched" -nt debian/requirements.txt ]; then return; fi
    rm -rf "$folder"
    mkdir -p "$folder"
    for minor in 11 12 13; do
        # shellcheck disable=SC2046  # a list of words
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
            --only-binary=:all: --python-version "3.$minor" --implementation cp \
            --abi "cp3$minor" --abi abi3 --abi none $(platforms "$machine") \
            -r debian/requirements.txt -d "$folder"
    done
    touch "$folder/fetched"
}

# Our own wheel, of a copy without what other words left in build/.
own_wheel() {
    source=$1
    into=$2
    tools=$out/deb/tools
    rm -rf "$tools"
    mkdir -p "$tools"
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
        --target "$tools" "$wheels/$machine"/setuptools-*.whl
    PYTHONPATH=$tools "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation --no-cache-dir -w "$into" "$source"
}

for arch in "$@"; do
    case $arch in
    arm64) machine=aarch64 ;;
    amd64) machine=x86_64 ;;
    *)
        echo "deb: no architecture $arch; known are arm64 and amd64" >&2
        exit 1
        ;;
    esac
    fetch "$machine"
    work=$out/deb/$arch/vaora
    rm -rf "$out/deb/$arch"
    mkdir -p "$work/wheels"
    cp -a debian systemd provisioning checkin kiosk sync_daemon central docs "$work"
    cp -a pyproject.toml README.md hardware.md SECURITY.md LICENSE "$work"
    cp -a CHANGELOG.md "$work/docs" # not where dpkg looks for one of its own form
    rm "$work"/docs/*.py
    find "$work" -name __pycache__ -prune -exec rm -rf {} +
    chmod -R u=rwX,go=rX "$work" # whatever the checkout's umask was
    sed -i "s/^version = \"[^\"]*\"/version = \"$version\"/" "$work/pyproject.toml"
    own_wheel "$work" "$work/wheels"
    rm -rf "$work/build" "$work/vaora.egg-info"
    cp "$wheels/$machine"/*.whl "$work/wheels"
    # Ours is checked against its hash like the others.
    own=$(sha256sum "$work"/wheels/vaora-*.whl | cut -d' ' -f1)
    printf 'vaora==%s \\\n    --hash=sha256:%s\n' "$version" "$own" >> "$work/debian/requirements.txt"
    sed -i "s/@VERSION@/$version/" "$work"/debian/vaora.postinst
    # dpkg wants its own changelog; ours is CHANGELOG.md, which is installed beside it.
    printf 'vaora (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
        "$version" "$(sed -n 's/^Maintainer: //p' debian/control)" \
        "$(date -R -d "@$SOURCE_DATE_EPOCH")" > "$work/debian/changelog"
    # Where the system looks for them, under its names.
    while read -r name place; do
        install -Dm644 "systemd/$name" "$work/placed/$place"
    done << 'END'
vaora.sysusers.conf sysusers.d/vaora.conf
vaora.tmpfiles.conf tmpfiles.d/vaora.conf
vaora.udev.rules udev/rules.d/60-vaora.rules
vaora.journald.conf systemd/journald.conf.d/vaora.conf
vaora.watchdog.conf systemd/system.conf.d/vaora.conf
END
    (cd "$work" && dpkg-buildpackage -b -a "$arch" -us -uc -d) > "$out/deb/$arch/log" 2>&1 || {
        cat "$out/deb/$arch/log" >&2
        exit 1
    }
    # Whole at once: somebody may be installing the one before.
    cp "$out/deb/$arch/vaora_${version}_$arch.deb" "$out/.new.deb"
    mv "$out/.new.deb" "$out/vaora_${version}_$arch.deb"
    echo "build/vaora_${version}_$arch.deb"
done
