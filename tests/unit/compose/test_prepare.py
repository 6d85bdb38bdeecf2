import base64
import hashlib
import stat
from pathlib import Path

import pytest

from compose.prepare import add_device, prepare


def test_makes_every_secret_of_the_compose_file_once(tmp_path: Path) -> None:
    made = prepare(tmp_path)
    named = {f"secrets/{name}" for name in _named_in_compose_file()}
    assert set(made) == named | {".env"}
    before = {name: (tmp_path / name).read_text() for name in made}
    assert prepare(tmp_path) == []
    assert {name: (tmp_path / name).read_text() for name in made} == before


def test_only_its_owner_gets_at_them(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    # Each service has a user of its own, and the engine mounts the files as they are.
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "secrets").iterdir()} == {0o444}


def test_two_boxes_have_nothing_in_common(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        prepare(folder)
    for file in (first / "secrets").iterdir():
        assert file.read_text() != (second / "secrets" / file.name).read_text()


def test_one_that_was_lost_is_made_anew_and_fits_the_others(tmp_path: Path) -> None:
    prepare(tmp_path)
    place = tmp_path / "secrets"
    for name in ("database_url", "mqtt_passwords"):
        (place / name).unlink()
    assert set(prepare(tmp_path)) == {"secrets/database_url", "secrets/mqtt_passwords"}
    assert (place / "database_password").read_text() in (place / "database_url").read_text()
    box = (place / "mqtt_url").read_text().split(":")[2].partition("@")[0]
    assert _fits(box, (place / "mqtt_passwords").read_text().splitlines()[0])


def test_a_device_gets_an_account_of_its_own_once(tmp_path: Path) -> None:
    prepare(tmp_path)
    file = tmp_path / "secrets/mqtt_passwords"
    before, inode = file.read_text(), file.stat().st_ino
    password = add_device(tmp_path, "press-1")
    assert file.read_text().startswith(before)
    assert _fits(password, file.read_text().splitlines()[-1])
    assert (file.stat().st_ino, stat.S_IMODE(file.stat().st_mode)) == (inode, 0o444), (
        "the broker has it mounted"
    )
    for name in ("press-1", "box", "a b", "x:y", "", "line\n"):
        with pytest.raises(SystemExit):
            add_device(tmp_path, name)


def _fits(password: str, line: str) -> bool:
    _, kind, rounds, salt, found = line.split("$")
    again = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(rounds), 64)
    return kind == "7" and base64.b64decode(found) == again


def _named_in_compose_file() -> set[str]:
    from tests.unit.compose.test_compose_file import BASE

    return set(BASE["secrets"])
