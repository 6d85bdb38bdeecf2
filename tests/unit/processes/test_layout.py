"""Who may do what in a home."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from appliance.lib.home import Home, HomeUnusable
from appliance.processes.layout import lay_out, lock_file, pid_folder, service_folder, settings_folder
from appliance.processes.privilege import HomeOfSomebodyElse, Privilege

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def mode(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_an_ordinary_users_home_is_that_users_alone(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    lay_out(home, Privilege(root=False))
    folders = [home.path, home.runtime, home.logs, home.data, pid_folder(home), settings_folder(home)]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


@AS_ROOT
def test_services_own_their_data_and_only_read_what_root_writes(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.secret("database")
    (home.data / "redis").mkdir(parents=True)
    (home.data / "redis" / "file").touch()
    services = home.service_uid
    lay_out(home, Privilege(root=True, uid=services))
    assert mode(home.path) == (0, services, 0o1771)
    assert mode(home.models) == (services, services, 0o755)
    assert mode(home.logs) == (0, services, 0o750)
    assert mode(settings_folder(home)) == (0, services, 0o750)
    assert mode(pid_folder(home)) == (0, 0, 0o700)
    assert mode(home.secrets / "database") == (services, services, 0o600)
    assert mode(home.data / "redis" / "file")[:2] == (services, services)
    home.secret("made later by root")
    assert mode(home.secrets / "made later by root") == (services, services, 0o600)


@AS_ROOT
def test_a_home_can_change_between_the_two_ways_of_being_root(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    (home.data / "postgres").mkdir(parents=True)
    (home.data / "postgres" / "PG_VERSION").touch()
    for uid in (home.service_uid, None, home.service_uid):
        lay_out(home, Privilege(root=True, uid=uid))
        assert (home.data / "postgres" / "PG_VERSION").stat().st_uid == (uid or 0)


@AS_ROOT
def test_links_are_given_away_themselves_never_what_they_point_at(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    victim = tmp_path / "victim"
    victim.write_text("root's")
    (home.path / "audit").mkdir()
    (home.path / "audit" / "link").symlink_to(victim)
    (home.path / "link").symlink_to(victim)
    lay_out(home, Privilege(root=True, uid=home.service_uid))
    assert victim.stat().st_uid == 0


@AS_ROOT
@pytest.mark.parametrize("name", ["nats", "data/redis"])
def test_a_link_in_place_of_a_services_folder_is_refused_and_gives_nothing_away(
    tmp_path: Path, name: str
) -> None:
    home = Home.at(tmp_path / "home")
    privilege = Privilege(root=True, uid=home.service_uid)
    lay_out(home, privilege)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "passwd").touch()
    (home.path / name).symlink_to(victim)
    os.chown(home.path / name, home.service_uid, home.service_uid, follow_symlinks=False)
    with pytest.raises(HomeUnusable, match="not a folder of this box but a link"):
        service_folder(home.path / name, privilege)
    privilege.hand_over(home.path / name)
    assert (victim.stat().st_uid, (victim / "passwd").stat().st_uid) == (0, 0)


@AS_ROOT
def test_a_folder_that_becomes_a_link_while_it_is_given_away_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "passwd").touch()
    (tmp_path / "nats" / "sub").mkdir(parents=True)
    chown = os.chown

    def swapped(path: object, *args: Any, **more: Any) -> None:
        if str(path).endswith("sub"):
            (tmp_path / "nats").rename(tmp_path / "moved")
            (tmp_path / "nats").symlink_to(tmp_path / "victim")
            (tmp_path / "moved" / "sub").rmdir()
            (tmp_path / "moved" / "sub").symlink_to(tmp_path / "victim")
        chown(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", swapped)
    Privilege(root=True, uid=12345).hand_over(tmp_path / "nats")
    assert (tmp_path / "moved" / "sub").is_symlink()
    assert {path.stat().st_uid for path in (tmp_path / "victim", tmp_path / "victim" / "passwd")} == {0}


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    (tmp_path / "elsewhere").mkdir()
    home.logs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeUnusable, match="logs is not a folder of this box"):
        lay_out(home, Privilege(root=False))


@AS_ROOT
def test_a_socket_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home with a space")
    home.runtime.mkdir()
    try:
        os.chown(home.runtime, 12345, 12345)
        with pytest.raises(HomeUnusable, match="is not a folder of this box"):
            lay_out(home, Privilege.of(home))
    finally:
        home.runtime.rmdir()


@AS_ROOT
def test_root_does_not_take_over_an_ordinary_users_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    os.chown(home.path, 12345, 12345)
    with pytest.raises(HomeOfSomebodyElse, match="belongs to user 12345, and this is user root"):
        Privilege.of(home)


@AS_ROOT
def test_services_stay_root_where_other_users_cannot_reach_the_home(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    home = Home.at(tmp_path / "closed" / "home")
    found = Privilege.of(home)
    assert found.uid is None
    assert "without any of root's powers, because other users cannot read" in found.in_place
    assert found.postgres_in_namespace


def test_the_lock_is_not_given_away(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    lock_file(home).touch(mode=0o600)
    lay_out(home, Privilege(root=os.geteuid() == 0, uid=home.service_uid if os.geteuid() == 0 else None))
    assert lock_file(home).stat().st_uid == os.geteuid()
