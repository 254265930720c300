"""A built package as another version: only our own wheel is changed, which takes some seconds.

`changes` are lines of Python put at the end of modules: a version that is broken on purpose.
"""

import base64
import hashlib
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def repacked(
    package: Path, version: str, into: Path, changes: Mapping[str, str] | None = None
) -> Path:
    """The new package's file, in `into`."""
    into.mkdir(parents=True, exist_ok=True)
    arch = package.stem.split("_")[-1]
    made = into / f"vaora_{version}_{arch}.deb"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(root)], check=True)
        control = root / "DEBIAN" / "control"
        before = re.search(r"(?m)^Version: (.*)$", control.read_text())[1]
        control.write_text(control.read_text().replace(f"Version: {before}", f"Version: {version}"))
        postinst = root / "DEBIAN" / "postinst"
        postinst.write_text(postinst.read_text().replace(f'"{before}"', f'"{version}"'))
        folder = root / "usr/lib/vaora"
        (old,) = (folder / "wheels").glob("vaora-*.whl")
        wheel = old.with_name(old.name.replace(before, version))
        _rewrite(old, wheel, before, version, changes or {})
        old.unlink()
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        requirements = folder / "requirements.txt"
        requirements.write_text(
            re.sub(
                r"vaora==\S+ \\\n    --hash=sha256:\w+",
                f"vaora=={version} \\\\\n    --hash=sha256:{digest}",
                requirements.read_text(),
            )
        )
        _build(root, made)
    return made


def without_other_wheels(package: Path, into: Path) -> Path:
    """`package` with our own wheel alone: for who repacks it often."""
    made = into / package.name
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(root)], check=True)
        for wheel in (root / "usr/lib/vaora/wheels").glob("*.whl"):
            if not wheel.name.startswith("vaora-"):
                wheel.unlink()
        _build(root, made)
    return made


def _build(root: Path, deb: Path) -> None:
    build = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(root), str(deb)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)


def _rewrite(old: Path, new: Path, before: str, version: str, changes: Mapping[str, str]) -> None:
    record = []
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            content = source.read(name)
            name = name.replace(f"vaora-{before}", f"vaora-{version}")  # noqa: PLW2901
            if name.endswith(".dist-info/RECORD"):
                continue
            if name.endswith(".dist-info/METADATA"):
                content = content.replace(
                    f"\nVersion: {before}".encode(), f"\nVersion: {version}".encode()
                )
            content += changes.get(name, "").encode()
            out.writestr(name, content)
            digest = (
                base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            )
            record.append(f"{name},sha256={digest},{len(content)}")
        record.append(f"vaora-{version}.dist-info/RECORD,,")
        out.writestr(f"vaora-{version}.dist-info/RECORD", "\n".join(record) + "\n")
