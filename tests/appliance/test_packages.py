"""What apt fetches for an image: Debian's real list of packages in it, and Debian's real mirror.

What was fetched is kept in build/, and then apt is asked again without any source: what is there
must be enough.
"""

import os
import subprocess
from pathlib import Path

import pytest

from provisioning import apt, official, packages
from provisioning.apt import AptError
from provisioning.packages import PackagesError
from tests import disk_images
from tests.debian_root import APPLIANCE_PACKAGES, BUILD, RootError, debian, kept

# Small ones that the root has not, beside what it has.
CONTROL = """\
Package: {name}
Version: 0.9
Architecture: {arch}
Maintainer: Made Up <made-up@example.org>
Depends: python3 (>= 3.11), python3-numpy, tree
Recommends: python3-not-of-debian | hello (>= 2), libzbar0t64 | libzbar0
Description: stands in for ours
"""
NEEDED = ("busybox", "e2fsprogs")


@pytest.fixture(scope="module")
def root():
    try:
        return debian("appliance", APPLIANCE_PACKAGES)
    except RootError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def image(root, tmp_path_factory):
    file = disk_images.official(
        tmp_path_factory.mktemp("images") / "official.img",
        arch="amd64",
        status=(root / "var" / "lib" / "dpkg" / "status").read_text(),
        apt_of=root,
    )
    return official.look_into(file, "0" * 64)


def built(folder, name="vaora", arch="amd64"):
    (folder / "tree" / "DEBIAN").mkdir(parents=True)
    (folder / "tree" / "DEBIAN" / "control").write_text(CONTROL.format(name=name, arch=arch))
    file = folder / f"{name}_0.9_{arch}.deb"
    command = [
        "dpkg-deb",
        "--build",
        "--root-owner-group",
        "-Zgzip",
        str(folder / "tree"),
        str(file),
    ]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}
    )
    return file


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return packages.read(built(tmp_path_factory.mktemp("ours")))


@pytest.fixture(scope="module")
def fetched(image, ours):
    """The folder of what apt fetched, over the network the first time."""

    def make(folder: Path) -> None:
        packages.gathered(image, ours, folder / "cache", needed=NEEDED)
        (found,) = (folder / "cache").glob("packages-*")
        for file in found.iterdir():
            file.rename(folder / file.name)

    status = packages.hashlib.sha256(image.read(official.DPKG_STATUS)).hexdigest()[:12]
    try:
        return kept(BUILD / "made" / f"packages-{status}-{ours.sha256[:12]}", make)
    except PackagesError as error:
        pytest.skip(f"no mirror of Debian can be reached: {error}")


def names(folder):
    return {file.name.partition("_")[0] for file in folder.glob("*.deb")}


def test_what_the_image_lacks_is_fetched_and_what_it_has_is_not(fetched):
    found = names(fetched)
    assert {"busybox", "tree", "hello"} <= found
    assert not found & {"python3", "python3-numpy", "libzbar0t64", "e2fsprogs", "vaora"}


def test_a_folder_with_all_that_is_needed_does_without_a_network(image, ours, fetched):
    files = packages.gathered(image, ours, Path("/nonexistent"), needed=NEEDED, folder=fetched)
    assert files["vaora/vaora.deb"] == ours.file.read_bytes()
    assert {Path(name).name for name in files} == {
        "vaora.deb", "packages.sha256", *(file.name for file in fetched.glob("*.deb")),
    }  # fmt: skip


def test_first_boot_can_check_what_lies_there(image, ours, fetched, tmp_path):
    files = packages.gathered(image, ours, Path("/nonexistent"), needed=NEEDED, folder=fetched)
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    check = ["sha256sum", "--check", "--strict", "--quiet", "packages.sha256"]
    subprocess.run(check, check=True, cwd=tmp_path / "vaora")
    (tmp_path / "vaora" / "vaora.deb").write_bytes(b"another")
    assert subprocess.run(
        check, check=False, cwd=tmp_path / "vaora", capture_output=True
    ).returncode


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("tree", "Depends: tree"),
        ("hello", "python3-not-of-debian or hello is missing"),
        ("busybox", "busybox"),
    ],
)
def test_a_folder_without_one_of_them_is_refused(image, ours, fetched, tmp_path, left_out, said):
    for file in fetched.glob("*.deb"):
        if not file.name.startswith(f"{left_out}_"):
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(PackagesError, match=said):
        packages.gathered(image, ours, Path("/nonexistent"), needed=NEEDED, folder=tmp_path)


def test_an_empty_folder_is_refused(image, ours, tmp_path):
    with pytest.raises(PackagesError, match="has no .deb in it"):
        packages.gathered(image, ours, tmp_path, folder=tmp_path)


def test_a_package_of_another_machine_or_another_name_is_refused(image, tmp_path):
    for name in ("arm", "other"):
        (tmp_path / name).mkdir()
    arm = packages.read(built(tmp_path / "arm", arch="arm64"))
    with pytest.raises(
        PackagesError, match=r"is for arm64, but the image is for amd64; give vaora_"
    ):
        packages.gathered(image, arm, tmp_path / "cache")
    with pytest.raises(PackagesError, match=r"is 'hello'; give vaora_…_arm64\.deb"):
        packages.read(built(tmp_path / "other", name="hello"))
    with pytest.raises(PackagesError, match="can't be read as a package"):
        packages.read(image.file)


def test_apt_believes_itself_in_the_image_and_nowhere_else(image, tmp_path):
    asked = apt.of_image(image, tmp_path / "apt", with_sources=False)
    assert asked.would_install(["python3-numpy"]) == []  # the image has it, whatever is here
    with pytest.raises(AptError):
        asked.would_install(["hello"])
    text = (tmp_path / "apt" / "apt.conf").read_text()
    assert 'APT::Architecture "amd64";' in text


def test_an_image_that_names_no_sources_is_said(tmp_path):
    file = disk_images.official(tmp_path / "official.img")
    bare = official.look_into(file, "0" * 64)
    with pytest.raises(AptError, match="names no sources of packages .* --packages"):
        apt.of_image(bare, tmp_path / "apt")


def test_packages_that_would_not_fit_are_said():
    with pytest.raises(
        PackagesError, match="take 381 MiB, and the boot partition has room for 380"
    ):
        packages._listed({"vaora.deb": bytes(381 * 2**20)})
