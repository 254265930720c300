"""A made-up certificate authority, and certificates as a fleet has them, by openssl."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

# Python 3.13 holds certificates to RFC 5280 by default: an authority says what it may do, and
# every certificate names its authority's key.
AUTHORITY = """
[req]
distinguished_name = dn
x509_extensions = ca
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
LEAF = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1
"""


def openssl(*arguments: object) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl isn't installed")
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder: Path, name: str = "ca") -> None:
    """Write `name`.pem and `name`.key."""
    (folder / "ca.cnf").write_text(AUTHORITY)
    openssl(
        "req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-config", folder / "ca.cnf",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    )  # fmt: skip


def certificate(folder: Path, name: str) -> None:
    """Write `name`.pem and `name`.key, signed by the authority `ca` in the same folder."""
    (folder / "leaf.cnf").write_text(LEAF)
    openssl(
        "req", *KEY, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
        "-out", folder / f"{name}.csr",
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem",
        "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", folder / "leaf.cnf", "-out", folder / f"{name}.pem",
    )  # fmt: skip


def readable_by_mosquitto(folder: Path) -> None:
    """Started as root, mosquitto goes on as a user of its own."""
    for file in folder.iterdir():
        file.chmod(0o644)
    for place in (folder, *folder.parents):
        if place == Path(tempfile.gettempdir()):
            break
        place.chmod(0o755)
