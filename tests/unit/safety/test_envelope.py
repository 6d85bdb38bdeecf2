"""What is sealed opens under its own key and for its own purpose, and says which key that is."""

import json

import pytest
from cryptography.fernet import Fernet

from appliance.safety.envelope import MARK, Ring, key_of
from appliance.safety.errors import NotOpened
from appliance.safety.secrets import new_key

OLD, NEW = new_key(), new_key()


def test_it_names_the_key_that_it_needs_and_older_ones_open_it_too() -> None:
    sealed = Ring([OLD]).seal("bot", "value")
    assert key_of(sealed) == Ring([OLD]).newest
    assert Ring([NEW, OLD]).open("bot", sealed) == "value"
    assert key_of(Ring([NEW, OLD]).seal("bot", "value")) == Ring([NEW]).newest
    with pytest.raises(NotOpened, match=f"the key {Ring([OLD]).newest}"):
        Ring([NEW]).open("bot", sealed)


def test_what_was_sealed_for_one_thing_opens_for_no_other() -> None:
    with pytest.raises(NotOpened, match="another name"):
        Ring([NEW]).open("other", Ring([NEW]).seal("bot", "value"))


def test_the_same_text_is_never_sealed_alike() -> None:
    assert Ring([NEW]).seal("bot", "value") != Ring([NEW]).seal("bot", "value")


@pytest.mark.parametrize("at", [0, 2, 5, 12, 20, 30, -1])
def test_a_changed_bit_opens_nothing(at: int) -> None:
    sealed = bytearray(Ring([NEW]).seal("bot", "value"))
    sealed[at] ^= 1
    with pytest.raises(NotOpened):
        Ring([NEW]).open("bot", bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", MARK, MARK + b"x" * 5, b"nonsense"])
def test_what_was_never_sealed_opens_nothing(sealed: bytes) -> None:
    with pytest.raises(NotOpened):
        Ring([NEW]).open("bot", sealed)


def test_what_an_earlier_version_sealed_opens_until_it_is_sealed_anew() -> None:
    former = Fernet(OLD).encrypt(json.dumps(["bot", "value"]).encode())
    assert Ring([NEW, OLD]).open("bot", former) == "value"
    with pytest.raises(NotOpened):
        Ring([NEW, OLD]).open("other", former)


@pytest.mark.parametrize("line", ["short", "not base64 at all!", ""])
def test_a_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        Ring([line])
