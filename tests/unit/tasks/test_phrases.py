"""A sentence is the pattern's or it is not; no message can make that slow, and none brings what nobody types."""

import time

import pytest

from appliance.tasks.phrases import (
    LONGEST_CAPTURE,
    LONGEST_TEXT,
    MOST_CAPTURES,
    PatternInvalid,
    Sentence,
    normalised,
    parse_phrase,
)


def found(pattern: str, text: str) -> dict[str, str] | None:
    said = normalised(text)
    return parse_phrase(pattern).match(Sentence(said)) if said else None


@pytest.mark.parametrize(
    "text",
    [
        "restart pump P3",
        "  Restart   PUMP\tP3 ",
        "/restart pump P3",
        "/restart@mill_bot pump P3",
        "@mill restart pump P3",
        "Ｒｅｓｔａｒｔ　ｐｕｍｐ　Ｐ３",
        "restart pump P3\n",
    ],
)
def test_the_same_sentence_is_found_however_it_is_written(text: str) -> None:
    assert found("Restart pump {pump}", text) == {"pump": "P3"}


@pytest.mark.parametrize(
    "text",
    [
        "restart pump",
        "restart pump ",
        "restart pump 3 4",
        "please restart pump 3",
        "restart pump\n3",
        "restart pump 3\nand 4",
        "restart pumps",
        "",
    ],
)
def test_another_sentence_is_not_taken_for_it(text: str) -> None:
    assert found("restart pump {pump}", text) is None


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        ("重启{pump}号泵", "重启3号泵", {"pump": "3"}),
        ("重启{pump}号泵", "重启 3 号泵", {"pump": "3"}),
        ("重启 {pump} 号泵", "重启３号泵", {"pump": "3"}),
        ("重启{pump}", "重启北侧水泵", {"pump": "北侧水泵"}),
        ("把{what}调到{value}度", "把车间温度调到21度", {"what": "车间温度", "value": "21"}),
        ("记一下 {note...}", "记一下泵 坏了", {"note": "泵坏了"}),
    ],
)
def test_chinese_needs_no_blanks(pattern: str, text: str, said: dict[str, str]) -> None:
    assert found(pattern, text) == said


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        ("set {what} to {value}", "set speed to 12", {"what": "speed", "value": "12"}),
        ("set {what} to {value}", "set to to to", {"what": "to", "value": "to"}),
        ("note {text...}", "note  A  long Line", {"text": "A long Line"}),
        ("{a}x{b} y", "1x2x3 y", {"a": "1", "b": "2x3"}),
        ("go {x}!", "go a!b!", {"x": "a!b"}),
        ("lights out", "Lights  out", {}),
    ],
)
def test_captures_are_as_short_as_they_can_be_and_keep_their_letters(
    pattern: str, text: str, said: dict[str, str]
) -> None:
    assert found(pattern, text) == said


@pytest.mark.parametrize(
    "hostile",
    [
        "3\x00",
        "3\x1b[2J",
        "3\u202e4",
        "3\u200b",
        "3\u2028rm",
        "3\ud800",
        "3" * (LONGEST_CAPTURE + 1),
        "\u0007",
    ],
)
def test_what_nobody_types_is_not_captured(hostile: str) -> None:
    assert found("restart pump {pump}", f"restart pump {hostile}") is None
    assert found("note {text...}", f"note {hostile}") is None


def test_a_message_of_any_length_is_looked_at_in_no_time() -> None:
    names = "".join(f"a{{n{number}}}" for number in range(MOST_CAPTURES))
    tricky = [parse_phrase(f"x {names}b"), parse_phrase("note {text...}"), parse_phrase(f"x {names}")]
    began = time.perf_counter()
    for text in ("x " + "a" * (LONGEST_TEXT - 2), "\ufdfa" * LONGEST_TEXT, "x" * 1_000_000, " " * 1_000_000):
        for _ in range(100):
            said = normalised(text)
            if said:
                sentence = Sentence(said)
                assert [one.match(sentence) for one in tricky[:2]] == [None, None]
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "one line of words"),
        ("restart\npump", "one line of words"),
        ("restart\u202e pump", "one line of words"),
        ("x" * 201, "at most 200"),
        ("restart {pump", "brace is open"),
        ("restart {}", "cannot name a word"),
        ("restart {a b}", "cannot name a word"),
        ("restart {pump} {pump}", "twice"),
        ("restart {a}{b}", "need something between"),
        ("note {text...} now", "comes last"),
        ("x " + " ".join(f"{{n{one}}}" for one in range(MOST_CAPTURES + 1)), "at most 10 words"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(PatternInvalid, match=says):
        parse_phrase(pattern)


def test_letters_that_grow_when_they_are_made_small_do_not_move_the_others() -> None:
    assert found("go {x} now", "go İİ NOW") == {"x": "İİ"}
