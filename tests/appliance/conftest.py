"""The package, a machine that boots with it, and a broker and a central outside."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from demo.programs import BrokerProgram, Program, mosquitto_path
from tests import fleet as fleets
from tests import network
from tests.appliance.machine import Machine
from tests.debian_root import APPLIANCE_PACKAGES, RootError, debian, may_mount

ROOT = Path(__file__).parents[2]
NEEDED = ("dpkg-buildpackage", "dh", "lintian", "systemd-nspawn", "unshare", "nsenter")
BUILD_S = 300

# The version before this one, for upgrades: the same code under a lower number, with an outbox of
# the form before.
BEFORE = "0.0.9"


def build(version: str = "", arch: str = "amd64", **env: str) -> Path:
    """The package, by the same script as `make deb`."""
    with network.outside():
        done = subprocess.run(
            ["sh", "debian/build.sh", arch],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            env={**os.environ, "VERSION": version, **env},
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.split()[-1]


# Whose tests go on where the one before ended.
IN_ORDER = ("test_appliance.py", "test_update.py")


@pytest.fixture(scope="module", autouse=True)
def own_network():
    """What boots here would set up this machine's network, and take its addresses."""
    if os.geteuid() != 0 or not may_mount():
        yield
        return
    with network.own():
        yield


_broken: dict[str, str] = {}


def pytest_runtest_makereport(item, call):
    if call.excinfo is not None and call.excinfo.typename != "Skipped":
        _broken.setdefault(item.fspath, item.name)


def pytest_runtest_setup(item):
    """Each test goes on where the one before ended: after a failure the others say nothing."""
    if item.fspath in _broken and item.fspath.basename in IN_ORDER:
        pytest.fail(f"not tried: {_broken[item.fspath]} failed before", pytrace=False)


@pytest.fixture(scope="session")
def tools():
    missing = [tool for tool in NEEDED if shutil.which(tool, path=PATH) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, and {', '.join(missing) or 'what setup.sh installs'}")
    if not may_mount():
        pytest.skip("nobody may mount here, as in most containers")


PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@pytest.fixture(scope="session")
def package(tools):
    return build()


@pytest.fixture(scope="session")
def package_before(tools):
    return build(BEFORE)


@pytest.fixture(scope="session")
def debian_13(tools):
    try:
        return debian("appliance", APPLIANCE_PACKAGES)
    except RootError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def machine(debian_13, tmp_path_factory):
    booted = Machine(debian_13, tmp_path_factory.mktemp("shared"))
    yield booted
    # Shown by pytest where a test failed: everything that was logged inside goes with the machine.
    print(booted.run("journalctl", "--no-pager", "-n", 200, check=False).stdout)
    booted.close()


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class Fleet:
    """A made-up fleet: certificates, a broker as provisioning/broker configures it, a central."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        made = fleets.made_up(folder.parent / "founded")
        self.made = made
        made.copy_to_broker(folder)
        for name in ("k1", "vaora-central"):
            tls = made.tls(name)
            shutil.copy(tls.cert_file, folder / f"{name}.pem")
            shutil.copy(tls.key_file, folder / f"{name}.key")
        # Below the ports that the kernel hands out: it is known long before it is used.
        port = next(one for one in range(18_883, 19_883) if is_free(one))
        self.broker = BrokerProgram(folder / "run", port=port, extra=made.configuration(folder))
        self.database = folder / "central.db"
        self.central: Program | None = None

    def start_central(self) -> None:
        command = [sys.executable, "-m", "central", "run"]
        command += ["--database", str(self.database), "--host", "127.0.0.1"]
        command += ["--port", str(self.broker.port), "--ca-file", str(self.folder / "ca.pem")]
        command += ["--cert-file", str(self.folder / "vaora-central.pem")]
        command += ["--tls-key-file", str(self.folder / "vaora-central.key")]
        self.central = Program("central", command)

    def close(self) -> None:
        if self.central is not None:
            self.central.stop()
        self.broker.stop()


@pytest.fixture(scope="module")
def fleet():
    if mosquitto_path() is None:
        pytest.skip("mosquitto isn't installed")
    # Not among pytest's own, which another pytest of the same user closes to mosquitto's.
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        made = Fleet(Path(folder) / "made-up" / "fleet")
        yield made
        made.close()
