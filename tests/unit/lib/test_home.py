"""One folder per box: its identity, secrets, and the names that derive from them."""

import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.lib.home import LONGEST_RUNTIME, Home, HomeUnusable, owner_of


def test_the_identity_is_made_once_and_kept(tmp_path: Path) -> None:
    first, second = Home.at(tmp_path / "home"), Home.at(tmp_path / "home")
    assert first == second
    assert len(first.id) == 12
    assert Home.at(tmp_path / "other").id != first.id


def test_a_new_home_is_private(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_damaged_identity_is_refused(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("not an id")
    with pytest.raises(HomeUnusable, match="does not hold an identity"):
        Home.at(tmp_path)


def test_a_home_that_is_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeUnusable, match=f"{tmp_path}/home cannot be used: .*MILLWRIGHT_HOME"):
        Home.at(tmp_path / "home")


def test_ports_stay_below_those_that_the_kernel_gives_away(tmp_path: Path) -> None:
    for number in range(200):
        home = Home(tmp_path, f"{number:012x}")
        assert 20000 <= home.http_port < 26000
        assert 26000 <= home.mqtt_port < 32000


def test_users_lie_in_the_dynamic_range_and_differ(tmp_path: Path) -> None:
    for number in range(200):
        home = Home(tmp_path, f"{number:012x}")
        assert 61184 <= home.service_uid < home.sandbox_uid <= 65519


@pytest.mark.parametrize("name", ["plain", "with space", "semi;colon", "per%cent", "x" * 120, "喷泉"])
def test_sockets_have_paths_that_every_client_takes(tmp_path: Path, name: str) -> None:
    runtime = Home.at(tmp_path / name).runtime
    assert len(os.fsencode(runtime)) <= LONGEST_RUNTIME
    assert not set(str(runtime)) & set(" ;%#'\"?&")


def test_sockets_stay_in_the_home_where_that_is_possible() -> None:
    assert Home(Path("/srv/box"), "0" * 12).runtime == Path("/srv/box/run")
    assert Home(Path("/srv/my box"), "0" * 12).runtime == Path("/tmp/millwright-000000000000")


def test_a_secret_is_made_once_long_and_only_for_its_owner(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    value = home.secret("database")
    assert home.secret("database") == value
    assert home.secret("redis") != value
    assert len(value) >= 43
    assert stat.S_IMODE((home.secrets / "database").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in home.secrets.iterdir()) == ["database", "redis"]


def test_a_secret_that_is_a_link_is_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.secret("real")
    (home.secrets / "forged").symlink_to("/etc/hostname")
    with pytest.raises(HomeUnusable, match="forged"):
        home.secret("forged")


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.secret("real")
    (home.secrets / "hollow").touch()
    with pytest.raises(HomeUnusable, match="empty"):
        home.secret("hollow")


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: list[tuple[str, str]] = []
    with context.Pool(4) as pool:
        answers = pool.map(_identify, [tmp_path / "home"] * 16)
    assert len(set(answers)) == 1


def _identify(path: Path) -> tuple[str, str]:
    home = Home.at(path)
    return home.id, home.secret("shared")


def test_files_go_to_the_owner_of_the_home(
    tmp_path: Path, set_owner: Callable[[Path, int, int], None]
) -> None:
    set_owner(tmp_path, 1234, 5678)
    assert owner_of(tmp_path) == (1234, 5678)


def test_files_in_a_home_that_root_shares_go_to_the_services(
    tmp_path: Path, set_owner: Callable[[Path, int, int], None]
) -> None:
    set_owner(tmp_path, 0, 61200)
    assert owner_of(tmp_path) == (61200, 61200)


@pytest.fixture
def set_owner() -> Callable[[Path, int, int], None]:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    return os.chown
