"""Work folders come private and go whole."""

import os
import stat
from pathlib import Path

import pytest

from appliance.sandbox.process import workfolder


@pytest.fixture
def spool(tmp_path: Path) -> str:
    path = str(tmp_path / "spool")
    os.close(workfolder.prepare_spool(path))
    return path


def test_a_work_folder_is_private_and_the_spool_cannot_be_listed_by_others(spool: str) -> None:
    path, fd = workfolder.make(spool, "one", os.geteuid(), os.getegid())
    os.close(fd)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(spool).stat().st_mode) == 0o711


def test_a_spool_that_is_a_link_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        workfolder.prepare_spool(str(tmp_path / "link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_spool_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 61017, 61017)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        workfolder.prepare_spool(str(tmp_path / "theirs"))


def test_closed_folders_links_and_deep_chains_go_and_targets_stay(spool: str, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").write_text("x")
    root = Path(spool) / "job"
    for path in ("a/b/c", "a/d", "e", ".lifted-1"):
        (root / path).mkdir(parents=True)
        (root / path / "file").write_text("x")
    (root / "link").symlink_to(keep)
    (root / "a" / "link").symlink_to(keep / "file")
    os.mkfifo(root / "pipe")
    deep = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    for path in ("a/b/c", "a/b", "a", "e", "."):
        (root / path).chmod(0)
    workfolder.remove(spool, "job")
    assert not root.exists()
    assert (keep / "file").read_text() == "x"


def test_removing_what_is_gone_is_fine(spool: str) -> None:
    workfolder.remove(spool, "never-there")


def test_sweeping_takes_everything(spool: str) -> None:
    for name in ("one", "two"):
        os.close(workfolder.make(spool, name, os.geteuid(), os.getegid())[1])
    fd = os.open(spool, os.O_RDONLY)
    assert workfolder.sweep(spool, fd) == 2
    os.close(fd)
    assert list(Path(spool).iterdir()) == []
