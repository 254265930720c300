"""lgpio for the machine's Python, of which PyPI has no wheel: built here, kept in build/.

Only Python's headers are of Debian 13; everything else is this machine's. On a Pi lgpio is
Raspberry Pi's python3-lgpio, of the same upstream version.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.debian_root import APPLIANCE_PACKAGES, debian, kept, run
from tests.real_libraries.made import LGPIO, MADE

HEADERS = "libpython3.13-dev"
MODULE = "_lgpio.cpython-313-x86_64-linux-gnu.so"

# Run inside the root, with the network of this machine.
FETCH = f"""
mount -t tmpfs none /tmp
cd /srv/fetched
apt-get -qq update
apt-get -qq -o APT::Sandbox::User=root download {HEADERS}
"""


def lgpio() -> Path:
    """A folder to be put on the path of Debian 13's Python."""
    return kept(MADE / f"{LGPIO}-debian-13", _make)


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        yard = Path(name)
        headers, source = _headers(yard), _source(yard)
        run(["swig", "-python", f"-I{source}", "-outdir", str(folder), "-o", str(source / "wrap.c"),
             str(source / "lgpio.i")])  # fmt: skip
        files = [*sorted((source / "src").glob("lg*.c")), source / "src" / "rgpiod.c"]
        includes = [headers / "python3.13", headers, source / "src"]
        run(
            ["gcc", "-shared", "-fPIC", "-O2", "-pthread", "-w"]
            + [f"-I{include}" for include in includes]
            + [str(file) for file in (*files, source / "wrap.c")]
            + ["-lrt", "-ldl", "-o", str(folder / MODULE)]
        )


def _headers(yard: Path) -> Path:
    fetched, workshop, opened = (yard / name for name in ("fetched", "workshop", "opened"))
    for made in (fetched, workshop, opened):
        made.mkdir()
    enter = [
        sys.executable,
        "-m",
        "tests.real_libraries.in_root",
        f"--share={fetched}:/srv/fetched",
    ]
    enter += ["--show=/etc/resolv.conf:/etc/resolv.conf"]
    root = debian("appliance", APPLIANCE_PACKAGES)
    where = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    run([*enter, str(root), str(workshop), "sh", "-euc", FETCH], where)
    (package,) = fetched.glob("*.deb")
    run(["dpkg-deb", "--extract", str(package), str(opened)])
    return opened / "usr" / "include"


def _source(yard: Path) -> Path:
    # PYPI=1 takes the C library's own source along.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    run([*download, "--no-binary=:all:", "--dest", str(yard), LGPIO], {"PYPI": "1"})
    (archive,) = yard.glob("lgpio-*.tar.gz")
    run(["tar", "--extract", "--gzip", f"--file={archive}", f"--directory={yard}"])
    return yard / archive.name.removesuffix(".tar.gz")
