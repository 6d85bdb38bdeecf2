from pathlib import Path

import pytest

from appliance.audit.chain import Head
from appliance.audit.errors import ExportUnreadable, KeyUnusable
from appliance.audit.heads import HeadsFile, Signer, heads_file, public_key_file, read_heads, signed_by
from appliance.lib.home import HomeUnusable
from tests.audit_chain import START, make_chain


def test_heads_are_appended_and_read_back(tmp_path: Path) -> None:
    heads = make_chain(6, (1, 3, 5)).heads
    with HeadsFile(tmp_path) as file:
        assert file.last_number() == 0
        file.append(heads[:1])
        assert file.last_number() == 1
    with HeadsFile(tmp_path) as file:
        file.append(heads[1:])
        assert file.last_number() == 3
    assert list(read_heads(heads_file(tmp_path))) == heads


def test_a_line_torn_by_a_power_cut_is_written_anew(tmp_path: Path) -> None:
    heads = make_chain(6, (1, 3, 5)).heads
    file = heads_file(tmp_path)
    file.parent.mkdir()
    file.write_bytes(heads[0].line() + heads[1].line()[:40])
    assert list(read_heads(file)) == heads[:1]
    with HeadsFile(tmp_path) as handle:
        handle.append(heads[handle.last_number() :])
    assert list(read_heads(file)) == heads


def test_a_line_that_says_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    file.write_text('{"body": 5}\n')
    with pytest.raises(ExportUnreadable):
        list(read_heads(file))


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    signer = Signer.of_home(tmp_path, "box")
    assert (tmp_path / "secrets" / "audit_key").stat().st_mode & 0o077 == 0
    assert Signer.of_home(tmp_path, "box").public_key == signer.public_key
    assert public_key_file(tmp_path).read_text().strip() == signer.public_key.hex()
    signed = signer.sign(Head(1, b"x" * 32), None, START)
    assert signed_by(signer.public_key, signed.body, signed.signature)
    assert not signed_by(signer.public_key, signed.body + " ", signed.signature)


def test_a_damaged_key_is_told_and_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets" / "audit_key"
    key.write_text("not a key\n")
    with pytest.raises(KeyUnusable):
        Signer.of_home(tmp_path, "box")
    assert key.read_text() == "not a key\n"


@pytest.mark.parametrize("place", ["folder", "file"])
def test_the_file_of_heads_is_reached_through_no_link(tmp_path: Path, place: str) -> None:
    """Root runs commands that open it, and the folder is the services' own."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    victim = elsewhere / heads_file(home).name
    victim.write_bytes(b"precious")
    if place == "folder":
        heads_file(home).parent.symlink_to(elsewhere)
    else:
        heads_file(home).parent.mkdir()
        heads_file(home).symlink_to(victim)
    owner = victim.stat().st_uid
    with pytest.raises((HomeUnusable, OSError)), HeadsFile(home) as file:
        file.last_number()
    assert (victim.read_bytes(), victim.stat().st_uid) == (b"precious", owner)
