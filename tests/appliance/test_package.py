"""The package itself: the same bytes again, nothing that lintian objects to, one version."""

import hashlib
import re
import subprocess
import tomllib

from tests.appliance.conftest import ROOT, build
from tests.lengths import LONG


def test_the_same_sources_give_the_same_bytes(package):
    first, inode = hashlib.sha256(package.read_bytes()).hexdigest(), package.stat().st_ino
    again = build(TZ="Asia/Ho_Chi_Minh")
    assert again.stat().st_ino != inode
    assert hashlib.sha256(again.read_bytes()).hexdigest() == first


if LONG:  # the wheels are 70 MB to fetch, and `make deb` fetches them too

    def test_every_wheel_of_the_arm_package_can_be_had(tools):
        built = build(arch="arm64")
        listed = subprocess.run(
            ["dpkg-deb", "--contents", built], check=True, capture_output=True, text=True
        ).stdout
        wheels = re.findall(r"wheels/(\S+)\.whl", listed)
        # Each for a Pi, or for any machine; what is compiled, for each Python that Pis have.
        assert not [wheel for wheel in wheels if not wheel.endswith(("aarch64", "any"))]
        for python in ("cp311", "cp313"):
            assert [wheel for wheel in wheels if wheel.startswith("msgspec") and python in wheel]


def test_lintian_finds_nothing(package):
    """Errors and warnings; those that are meant are explained in vaora.lintian-overrides."""
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--", package],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_there_is_one_version_number(package):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert package.name == f"vaora_{version}_amd64.deb"
    for file in ("debian/control", "debian/vaora.postinst", "debian/install-environment"):
        assert version not in (ROOT / file).read_text()


def test_every_dependency_is_locked_and_is_one_that_the_project_names(package):
    """What pyproject.toml wants is in the lock; but for numpy, which is the system's."""
    locked = (ROOT / "debian" / "requirements.txt").read_text()
    names = set(re.findall(r"(?m)^([a-z0-9-]+)==", locked))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in project["dependencies"]}
    assert wanted - names == {"numpy"}
