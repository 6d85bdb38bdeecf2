import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.lib import stop_file
from appliance.safety.stop import AllStop, Level, StopFile


def test_without_the_file_nothing_is_stopped(tmp_path: Path) -> None:
    assert StopFile(tmp_path).level() is Level.NONE


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("", Level.FREEZE),
        ("\n", Level.FREEZE),
        ("kill\nana: fire\n", Level.KILL),
        ("cut", Level.CUT),
        ("read_only because", Level.READ_ONLY),
        ("none", Level.FREEZE),
        ("release", Level.FREEZE),
        ("\x00\xff\xfe", Level.FREEZE),
    ],
)
def test_a_file_stops_the_box_whatever_it_says(tmp_path: Path, text: str, level: Level) -> None:
    (tmp_path / "ALLSTOP").write_text(text)
    assert StopFile(tmp_path).level() is level


def test_a_folder_or_a_dangling_link_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "ALLSTOP").mkdir()
    assert StopFile(tmp_path).level() is Level.FREEZE


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_stops_the_box(tmp_path: Path) -> None:
    (tmp_path / "ALLSTOP").write_text("kill")
    (tmp_path / "ALLSTOP").chmod(0)
    assert StopFile(tmp_path).level() is Level.FREEZE


def test_what_is_written_is_read_back_and_removed(tmp_path: Path) -> None:
    file = StopFile(tmp_path)
    file.write(Level.CUT, "user:ana", "smoke\nin hall 3")
    assert file.level() is Level.CUT
    assert "user:ana: smoke in hall 3" in file.path.read_text()
    file.remove()
    file.remove()
    assert file.level() is Level.NONE


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter and write, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="millwright-stop-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_a_service(work: Callable[[], None]) -> None:
    """In a process of another user than root, who writes through no link."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(61017)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_link_leads_to_where_a_process_looks_that_does_not_see_the_home(open_folder: Path) -> None:
    home, shared = open_folder / "home", open_folder / "shared"
    for folder in (home, shared):
        folder.mkdir()
        folder.chmod(0o777)
    (home / "ALLSTOP").symlink_to(shared / "ALLSTOP")
    stop = StopFile(home)
    assert stop.level() is Level.NONE
    for _ in range(2):  # the link is there after a release, too
        as_a_service(lambda: stop.write(Level.KILL, "ana", ""))
        assert stop_file.kills(str(shared / "ALLSTOP"))
        assert stop.level() is Level.KILL
        as_a_service(stop.remove)
        assert stop.level() is Level.NONE


@pytest.mark.parametrize("planted", ["home/root_key", "../home/root_key"])
def test_what_was_planted_where_the_link_leads_is_not_followed(open_folder: Path, planted: str) -> None:
    home, shared = open_folder / "home", open_folder / "shared"
    for folder in (home, shared):
        folder.mkdir()
        folder.chmod(0o777)
    key = home / "root_key"
    key.write_text("precious")
    (home / "ALLSTOP").symlink_to(shared / "ALLSTOP")
    stop = StopFile(home)
    for work in (lambda: stop.write(Level.KILL, "ana", ""), stop.remove):
        (shared / "ALLSTOP").unlink(missing_ok=True)
        (shared / "ALLSTOP").symlink_to(planted if planted.startswith("..") else open_folder / planted)
        as_a_service(work)
        assert key.read_text() == "precious"
        assert not (shared / "ALLSTOP").is_symlink()
    assert stop.level() is Level.NONE


@pytest.mark.parametrize("elsewhere", ["id", "{0}/id"])
def test_a_link_to_something_else_than_such_a_file_is_replaced(open_folder: Path, elsewhere: str) -> None:
    (open_folder / "id").write_text("precious")
    (open_folder / "ALLSTOP").symlink_to(elsewhere.format(open_folder))
    stop = StopFile(open_folder)
    as_a_service(lambda: stop.write(Level.KILL, "ana", ""))
    assert (stop.level(), stop.path.is_symlink()) == (Level.KILL, False)
    as_a_service(stop.remove)
    assert (stop.level(), (open_folder / "id").read_text()) == (Level.NONE, "precious")


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_writes_through_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "ALLSTOP").symlink_to(other)
    StopFile(tmp_path).write(Level.KILL, "ana", "")
    assert (other.read_text(), StopFile(tmp_path).level()) == ("precious", Level.KILL)
    StopFile(tmp_path).remove()
    assert other.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_gives_away_the_file_it_wrote_and_nothing_put_in_its_place(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, stop, synced = open_folder / "other", StopFile(open_folder), os.fsync
    other.write_text("precious")
    os.chown(open_folder, 61017, 61017)
    stop.write(Level.KILL, "ana", "")
    assert (stop.path.stat().st_uid, stop.path.stat().st_gid) == (61017, 61017)

    def exchanged(handle: int) -> None:
        """Whoever owns the home is quicker, right after the file has got its name."""
        synced(handle)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            stop.path.unlink()
            stop.path.symlink_to(other)

    monkeypatch.setattr(os, "fsync", exchanged)
    stop.write(Level.KILL, "ana", "")
    assert stop.path.is_symlink()
    assert other.stat().st_uid == 0


def test_each_level_holds_what_the_one_before_it_holds() -> None:
    for level in Level:
        stop = AllStop(level=level)
        assert stop.holds(acts=True) is (level is not Level.NONE)
        assert stop.holds(acts=False) is (level is Level.READ_ONLY)
        assert [stop.at_least(other) for other in Level] == [other.rank <= level.rank for other in Level]


def test_the_stricter_of_file_and_database_holds() -> None:
    engaged = AllStop(epoch=3, level=Level.KILL, by="user:ana")
    assert engaged.raised_by_file(Level.FREEZE) is engaged
    raised = engaged.raised_by_file(Level.CUT)
    assert (raised.level, raised.epoch, raised.by) == (Level.CUT, 3, "file")
