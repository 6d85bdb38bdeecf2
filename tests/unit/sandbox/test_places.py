"""Which rules a job gets; the kernel itself is asked in the integration tests."""

from pathlib import Path

import pytest

from appliance.sandbox.process import places


def system_paths(monkeypatch: pytest.MonkeyPatch, programs: Path, *forbidden: Path) -> set[str]:
    monkeypatch.setattr(places, "_PROGRAMS", (str(programs),))
    monkeypatch.setattr(places, "_FACTS", ())
    monkeypatch.setattr(places, "_DEVICES", ())
    found = places.Places([str(path) for path in forbidden])._system
    return {str(Path(path).relative_to(programs)) for path, _ in found}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = (tmp_path / "opt").resolve()
    for name in ("a/home/secrets", "a/homestead", "a/beside", "b"):
        (folder / name).mkdir(parents=True)
    (folder / "a" / "link").symlink_to("home")
    return folder


def test_a_system_folder_is_one_rule(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    assert system_paths(monkeypatch, programs) == {"."}


def test_around_the_home_only_what_lies_beside_it_is_seen(
    monkeypatch: pytest.MonkeyPatch, programs: Path
) -> None:
    assert system_paths(monkeypatch, programs, programs / "a" / "home") == {"b", "a/beside", "a/homestead"}


def test_a_home_above_a_system_folder_closes_it(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    assert system_paths(monkeypatch, programs, programs.parent) == set()


def test_a_home_reached_by_a_link_is_the_same_home(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    link = programs.parent / "elsewhere"
    link.symlink_to(programs / "a" / "home")
    assert system_paths(monkeypatch, programs, link) == {"b", "a/beside", "a/homestead"}
