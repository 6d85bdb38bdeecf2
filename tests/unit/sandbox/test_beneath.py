"""A path is opened as the one whose root it is sees it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.docker.beneath import open_in_root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").write_text("outside")
    inside = tmp_path / "root"
    (inside / "data").mkdir(parents=True)
    (inside / "data" / "file").write_text("inside")
    (inside / "absolute").symlink_to("/data")
    (inside / "up").symlink_to("../../../data")
    (inside / "out").symlink_to(tmp_path / "outside")
    (inside / "magic").symlink_to("/proc/self/root")
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("path", ["/data/file", "data/file", "/absolute/file", "/up/file", "/../data/file"])
def test_links_and_dots_stay_within(root: int, tmp_path: Path, path: str) -> None:
    fd = open_in_root(root, path)
    try:
        assert os.path.samestat(os.fstat(fd), (tmp_path / "root/data/file").stat())
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", ["/out", "/none", "/magic/etc"])
def test_what_is_only_outside_is_not_there(root: int, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_in_root(root, path)


def test_no_magic_link_is_followed() -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            open_in_root(root, f"/proc/{os.getpid()}/root/etc")
    finally:
        os.close(root)
