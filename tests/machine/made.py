"""What the virtual machine is made of, made once and kept in build/: root, kernel, disk, lgpio."""

import hashlib
import lzma
import os
import subprocess
import sys
from pathlib import Path

import tests.debian_root as bench
from tests.debian_root import APPLIANCE_PACKAGES, BUILD, ROOTS, RootError, kept, run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MADE = BUILD / "machine"

# Trixie's own kernel has no gpio-sim.
KERNEL = "linux-image-amd64/trixie-backports"

PACKAGES = (
    *APPLIANCE_PACKAGES,
    KERNEL, "kmod", "e2fsprogs",
    # By which systemd holds a unit to SocketBindDeny=, and without which it lets it be, with a
    # line in the log. Raspberry Pi OS has it with iproute2.
    "libbpf1",
    "mosquitto",
    "qemu-guest-agent",  # how the test runs commands in the machine
    # What lgpio is built by. A Pi has Raspberry Pi's python3-lgpio, of the same upstream version;
    # neither Debian nor PyPI has one for this Python and machine.
    "gcc", "libc6-dev", "make", "swig", "python3-dev", "python3-pip", "python3-setuptools",
    "python3-wheel",
)  # fmt: skip
LGPIO = "lgpio==0.2.2.0"

# What must be there before the disk's own udev: the disk, and the watchdog that systemd looks for
# first of all.
FIRST_MODULES = ("virtio_pci", "virtio_blk", "ext4", "i6300esb")

UML = "user-mode-linux"


def mmdebstrap(folder: Path, suite: str, words: list[str], *sources: str) -> None:
    """Make a Debian in `folder`, as `debian_root.debian` does, of more sources than one."""
    if os.geteuid() != 0:
        raise RootError("a Debian root is made by root: run the tests once with sudo")
    bench._install_mmdebstrap()
    # In a mount name space of its own: it mounts this machine's /dev/shm inside the folder, and one
    # that is interrupted leaves it there, for whoever clears the folder away to empty.
    alone = ["unshare", "--mount", "--"]
    run([*alone, "mmdebstrap", *words, *bench._apts_way(), suite, str(folder), *sources])


def root() -> Path:
    """A Debian 13 with the backports' kernel."""
    mirror = bench._mirror()
    suites = (bench.SUITE, f"{bench.SUITE}-backports")
    sources = [f"deb {mirror} {suite} main" for suite in suites]
    options = list(bench._options(PACKAGES))
    folder = ROOTS / f"machine-{bench._hash(*suites, *options)}"
    return kept(folder, lambda made: mmdebstrap(made, "", options, *sources))


def kernel(root: Path) -> Path:
    (found,) = root.glob("boot/vmlinuz-*")
    return found


def lgpio(root: Path) -> Path:
    """A folder with the real lgpio for the root's Python, built inside it by swig and gcc."""

    def make(folder: Path) -> None:
        source, built = folder / "source", folder / "built"
        source.mkdir()
        # PYPI=1 takes the C library's own source along.
        only_source = ["--no-deps", "--no-binary=:all:", "--dest", str(source), LGPIO]
        run([sys.executable, "-m", "pip", "download", "--quiet", *only_source], {"PYPI": "1"})
        (archive,) = source.iterdir()
        wheel = "pip wheel --quiet --no-index --no-deps --no-build-isolation --no-cache-dir"
        command = f"PYPI=1 {wheel} --wheel-dir /srv/built /srv/source/{archive.name}"
        built.mkdir()
        in_root(root, command, show={source: "/srv/source"}, share={built: "/srv/built"})
        (made,) = built.iterdir()
        run([sys.executable, "-m", "zipfile", "-e", str(made), str(folder / "site")])

    return kept(MADE / f"{LGPIO}-{root.name}", make) / "site"


def in_root(
    root: Path,
    command: str,
    *,
    show: dict[Path, str] | None = None,
    share: dict[Path, str] | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """What a shell's `command` says in a forgetful copy of `root`, without a network.

    `show` and `share` say which folders of ours are seen there, read-only and writable.
    """
    MADE.mkdir(parents=True, exist_ok=True)
    workshop = MADE / f"workshop-{os.getpid()}"
    workshop.mkdir(exist_ok=True)
    words = ["unshare", "--net", "--", sys.executable, "-m", "tests.real_libraries.in_root"]
    for option, folders in (("--show", show), ("--share", share)):
        words += [f"{option}={ours}:{theirs}" for ours, theirs in (folders or {}).items()]
    words += [str(root), str(workshop), "/bin/sh", "-euc", command]
    there = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/root"}
    try:
        return run(words, there | (env or {}))
    finally:
        workshop.rmdir()  # its mounts ended with the command's name space


def first_disk(root: Path) -> Path:
    """The initramfs: `first.c` and the modules that it loads, in their order."""
    code = (HERE / "first.c").read_bytes()
    digest = hashlib.sha256(code + " ".join(FIRST_MODULES).encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        tree = folder / "tree"
        for name in ("dev", "proc", "modules", "disk"):
            (tree / name).mkdir(parents=True)
        # musl: a static program of glibc's ends at once here, where /proc isn't mounted yet.
        run(
            [
                "musl-gcc",
                "-static",
                "-Os",
                "-Wall",
                "-Werror",
                "-o",
                str(tree / "init"),
                str(HERE / "first.c"),
            ]
        )
        (modules,) = root.glob("usr/lib/modules/*")
        for number, file in enumerate(in_order(modules, FIRST_MODULES)):
            content = lzma.decompress((modules / file).read_bytes())
            name = f"{number:02}-{Path(file).stem}"
            (tree / "modules" / name).write_bytes(content)
        names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
        with (folder / "first.cpio").open("wb") as archive:
            subprocess.run(
                ["cpio", "--create", "--format=newc", "--quiet"],
                check=True, cwd=tree, input="\n".join(names).encode(), stdout=archive,
            )  # fmt: skip

    return kept(MADE / f"first-{digest}-{root.name}", make) / "first.cpio"


def in_order(modules: Path, wanted: tuple[str, ...]) -> list[str]:
    """The files of the modules and of what they depend on, each behind what it needs."""
    needs = {}
    for line in (modules / "modules.dep").read_text(encoding="ascii").splitlines():
        file, _, others = line.partition(":")
        needs[Path(file).name.partition(".")[0]] = [file, *others.split()]
    built_in = (modules / "modules.builtin").read_text(encoding="ascii")
    files: list[str] = []
    for name in wanted:
        if f"/{name}.ko" in built_in:
            continue
        # Each line names what the first needs with the nearest first.
        files += [file for file in reversed(needs[name]) if file not in files]
    return files


def installed(root: Path, package: Path) -> Path:
    """A folder with what dpkg and the package's own postinst made of the root.

    `disk.img` is all of it, to boot from; `data.img` an empty disk for the outbox; `vaora` what
    lies in /usr/lib/vaora.
    """
    content = [package, *(HERE / name for name in ("install.sh", "pins.py", "panel.py"))]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in content)).hexdigest()[:12]

    def make(folder: Path) -> None:
        shown = {package: "/srv/vaora.deb", HERE: "/srv/bench", lgpio(root): "/srv/lgpio"}
        in_root(root, "exec sh /srv/bench/install.sh", show=shown, share={folder: "/srv/made"})

    return kept(MADE / f"installed-{digest}-{root.name}", make)


def user_mode_linux() -> Path:
    """Debian's Linux that runs as a program, from sid: nothing older has it for this C library."""

    def make(folder: Path) -> None:
        root = folder / "root"
        # Only unpacked, with what it depends on; nothing of it is run there.
        words = ["--mode=root", "--variant=extract", f"--include={UML}"]
        mmdebstrap(root, "", words, f"deb {bench._mirror()} sid main")
        (root / "usr/bin/linux.uml").rename(folder / "linux")
        run(["rm", "-rf", str(root)])

    return kept(MADE / UML, make) / "linux"
