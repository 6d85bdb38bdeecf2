"""What shows nothing is not read by anybody, and what is read is what is there."""

import unicodedata

import pytest

from appliance.lib.unseen import all_seen, is_seen, is_typed, without_unseen

EVERY = [chr(code) for code in (*range(0x20000), *range(0xE0000, 0xE1100))]
"""Letters and signs of the first two planes, and what was put aside for tags."""
BLANK = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufe00\ufe0f\U000e0100\U000e01ef"
"""Printable for Python (but the first), and nothing to see."""


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("val\u200bve", "valve"),
        ("\u202eevlav\u202c", "evlav"),
        ("ok\U000e006f\U000e0070", "ok"),
        ("ok\ufe0f\U000e0101", "ok"),
        ("温度 80 °C — naïve", "温度 80 °C — naïve"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_what_shows_nothing_is_taken_out(text: str, seen: str) -> None:
    assert without_unseen(text) == seen


def test_only_what_is_drawn_is_seen() -> None:
    hidden = {one for one in EVERY if not is_seen(one)}
    assert hidden >= set(BLANK)
    assert hidden >= {
        one for one in EVERY if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    }
    assert {one for one in EVERY if one.isspace()} - hidden == {" "}
    assert all(map(is_seen, "az 温度、（全角）°Cé-–…🔥€"))


def test_every_character_is_seen_or_has_something_in_its_place() -> None:
    told = all_seen("".join(EVERY), lambda one: f"⟨{ord(one):X}⟩", but="\n\t")
    assert all(is_seen(one) or one in "\n\t" for one in told)
    assert "⟨202E⟩" in told
    assert "⟨2800⟩" in told
    assert all_seen("plain 温度", lambda one: "?") == "plain 温度"


def test_what_is_left_holds_nothing_that_turns_or_hides() -> None:
    left = set(without_unseen("".join(EVERY)))
    assert left.isdisjoint(BLANK)
    assert left.isdisjoint("\u200b\u202e\u2066\ufeff\U000e0041")
    assert left >= set("\n\t\x1b a温")


def test_a_typed_line_has_no_control_characters() -> None:
    assert is_typed("启动 pump 3 ❤\ufe0f\u3000now")
    assert not any(is_typed(f"a{one}b") for one in "\n\x00\u202e\u200d\u2028\ud800")
