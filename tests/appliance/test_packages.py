"""What apt fetches for an image: Debian's real list of packages in it, and a mirror of ours.

The mirror is a folder with made-up packages of real names, so that no network is used; the last
test asks Debian's own, once: what it gave is kept in build/.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provisioning import apt, official, packages
from provisioning.apt import AptError
from provisioning.packages import PackagesError
from tests import disk_images
from tests.debian_root import APPLIANCE_PACKAGES, BUILD, RootError, debian, kept
from tests.disk_images import SMALL

# Small ones that the root has not, beside what it has.
OURS = """\
Package: vaora
Version: 0.9
Architecture: {arch}
Maintainer: Made Up <made-up@example.org>
Depends: python3 (>= 3.11), python3-numpy, tree
Recommends: python3-not-of-debian | hello (>= 2), libzbar0t64 | libzbar0
Description: stands in for ours
"""
OTHER = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: Made Up <made-up@example.org>
Depends: {depends}
Description: made up
"""
NEEDED = ("busybox", "e2fsprogs")
OFFERED = {
    "tree": ("2.2", "libmade-up (>= 1)"),
    "libmade-up": ("1:1.5", "python3"),
    "hello": ("2.10", "python3"),
    "busybox": ("1.37", "python3"),
    "e2fsprogs": ("9:1", "python3"),  # newer than the image's, and not wanted for that
}


@pytest.fixture(scope="module")
def root():
    try:
        return debian("appliance", APPLIANCE_PACKAGES)
    except RootError as error:
        pytest.skip(str(error))


def built(file, control):
    tree = file.with_suffix(".tree")
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(control)
    command = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", str(tree), str(file)]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}
    )
    shutil.rmtree(tree)
    return file


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A folder that apt reads packages from."""
    folder = tmp_path_factory.mktemp("mirror")
    listed = ""
    for name, (version, depends) in OFFERED.items():
        control = OTHER.format(name=name, version=version, depends=depends)
        content = built(folder / f"{name}.deb", control).read_bytes()
        listed += f"{control}Filename: ./{name}.deb\nSize: {len(content)}\n"
        listed += f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    (folder / "Packages").write_text(listed)
    return folder


def image_of(file, root, mirror=None):
    """An official image with the root's list of packages, that fetches from `mirror`."""
    settings = root
    if mirror is not None:
        settings = file.with_suffix(".root")
        (settings / "usr" / "share" / "keyrings").mkdir(parents=True)
        (settings / "etc" / "apt" / "sources.list.d").mkdir(parents=True)
        (settings / "etc" / "apt" / "sources.list").write_text(
            f"deb [trusted=yes] copy:{mirror} ./\n"
        )
    made = disk_images.official(
        file, arch="amd64", boot_bytes=SMALL, apt_of=settings,
        status=(root / "var" / "lib" / "dpkg" / "status").read_text(),
    )  # fmt: skip
    return official.look_into(made, "0" * 64)


@pytest.fixture(scope="module")
def image(root, mirror, tmp_path_factory):
    return image_of(tmp_path_factory.mktemp("images") / "official.img", root, mirror)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    file = tmp_path_factory.mktemp("ours") / "vaora_0.9_amd64.deb"
    return packages.read(built(file, OURS.format(arch="amd64")))


@pytest.fixture(scope="module")
def fetched(image, ours, tmp_path_factory):
    """The folder of what apt fetched."""
    cache = tmp_path_factory.mktemp("cache")
    packages.gathered(image, ours, cache, needed=NEEDED)
    (found,) = cache.iterdir()
    return found


def names(folder):
    return {file.name.partition("_")[0] for file in folder.glob("*.deb")}


def test_what_the_image_lacks_is_fetched_and_what_it_has_is_not(fetched):
    assert names(fetched) == {"busybox", "tree", "hello", "libmade-up"}


def test_what_was_fetched_is_kept_for_the_next_image(image, ours, fetched):
    files = packages.gathered(image, ours, fetched.parent, needed=NEEDED)
    assert len(files) == 2 + 4
    assert list(fetched.parent.iterdir()) == [fetched]


def test_a_package_that_was_changed_on_its_way_is_refused(root, mirror, ours, tmp_path):
    other = tmp_path / "mirror"
    shutil.copytree(mirror, other)
    damaged = other / "tree.deb"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    image = image_of(tmp_path / "official.img", root, other)
    with pytest.raises(PackagesError, match="Hash Sum mismatch"):
        packages.gathered(image, ours, tmp_path / "cache", needed=NEEDED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_no_source_offers_is_named(root, image, ours, tmp_path):
    with pytest.raises(PackagesError, match="offer no overlayroot; is it a Raspberry Pi OS"):
        packages.gathered(image, ours, tmp_path, needed=("overlayroot",))


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
    arm = packages.read(built(tmp_path / "vaora_0.9_arm64.deb", OURS.format(arch="arm64")))
    with pytest.raises(
        PackagesError, match=r"is for arm64, but the image is for amd64; give vaora_"
    ):
        packages.gathered(image, arm, tmp_path / "cache")
    control = OTHER.format(name="hello", version="1", depends="python3")
    with pytest.raises(PackagesError, match=r"is 'hello'; give vaora_…_arm64\.deb"):
        packages.read(built(tmp_path / "hello.deb", control))
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
    file = disk_images.official(tmp_path / "official.img", boot_bytes=SMALL)
    bare = official.look_into(file, "0" * 64)
    with pytest.raises(AptError, match="names no sources of packages .* --packages"):
        apt.of_image(bare, tmp_path / "apt")


def test_packages_that_would_not_fit_are_said():
    with pytest.raises(
        PackagesError, match="take 381 MiB, and the boot partition has room for 380"
    ):
        packages._listed({"vaora.deb": bytes(381 * 2**20)})


def test_debians_own_mirror_is_asked_with_its_own_keys(root, ours, tmp_path):
    def make(folder: Path) -> None:
        image = image_of(tmp_path / "official.img", root)
        packages.gathered(image, ours, folder / "cache", needed=("busybox",))
        (found,) = (folder / "cache").iterdir()
        for file in found.iterdir():
            file.rename(folder / file.name)

    try:
        folder = kept(BUILD / "made" / f"packages-of-debian-{ours.sha256[:12]}", make)
    except PackagesError as error:
        pytest.skip(f"no mirror of Debian can be reached: {error}")
    assert {"busybox", "tree", "hello"} <= names(folder)
    assert "vaora" not in names(folder)
