"""What stands in a sentence is found by the longest words that are known."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.agent.router import numerals
from appliance.agent.router.domain import SlotType
from appliance.agent.router.lexicon import Name, name_table
from appliance.agent.router.reading import read
from appliance.agent.router.tokens import words_of

TASK = Name(SlotType.TASK, "restart_pump_1")
NAMES = name_table([TASK, Name(SlotType.TASK, "backup"), Name(SlotType.TASK, "backup_test")])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("五", 5),
        ("十", 10),
        ("十二", 12),
        ("二十三", 23),
        ("一百零五", 105),
        ("两千", 2000),
        ("二〇二六", 2026),
        ("三万五千", 35000),
    ],
)
def test_chinese_numerals(text: str, value: int) -> None:
    assert numerals.of_chinese(text) == value


def test_chinese_fractions_and_what_is_none() -> None:
    assert numerals.of_chinese("三点五") == Decimal("3.5")
    assert numerals.of_chinese("三点") is None
    assert numerals.of_chinese("泵") is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("wait five minutes", ["5min"]),
        ("twenty five degrees", ["25°C"]),
        ("one two", ["1", "2"]),
        ("two hundred and 5", ["200", "5"]),
        ("等十分钟", ["10min"]),
        ("六十度", ["60°C"]),
        ("set it to -3.50 c", ["-3.5°C"]),
        ("十分感谢, 统一处理, 万一", []),
        ("pump-3 and pump 4", ["3", "4"]),
    ],
)
def test_numbers_and_their_units(text: str, numbers: list[str]) -> None:
    assert [str(one) for one in read(text, NAMES).numbers] == numbers


def test_a_length_of_time_is_in_seconds() -> None:
    assert [one.seconds for one in read("2 hours, 90 s, 5 bar", NAMES).numbers] == [7200, 90, None]


@given(st.integers(min_value=0, max_value=9999))
def test_digits_and_numerals_are_the_same_number(value: int) -> None:
    digits = "零一二三四五六七八九"
    written = "".join(digits[int(one)] for one in str(value))
    assert [one.value for one in read(f"设为{written}", NAMES).numbers] == [value]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("don't do it", 1),
        ("don’t", 1),
        ("no, never", 2),
        ("不要运行", 1),
        ("请勿运行", 1),
        ("有没有设备", 0),
        ("要不要运行", 0),
        ("不锈钢和特别的区别", 0),
        ("note the knot", 0),
    ],
)
def test_negations_are_words_and_no_parts_of_words(text: str, count: int) -> None:
    assert read(text, NAMES).negations == count


def test_the_longest_name_is_meant_and_its_number_belongs_to_it() -> None:
    assert read("run Restart-Pump 1", NAMES).names == ((TASK,),)
    assert read("run Restart-Pump 1", NAMES).numbers == ()
    assert read("restart pump 12", NAMES).names == ()
    assert [one[0].value for one in read("backup test, then backup", NAMES).names] == [
        "backup_test",
        "backup",
    ]


def test_both_sides_of_a_pair_are_seen_in_two_languages() -> None:
    assert read("switch it on", NAMES).poles == {"power+"}
    assert read("关闭车间的灯", NAMES).poles == {"power-"}
    assert read("开关", NAMES).poles == frozenset()


def test_a_topic_keeps_its_capitals_and_on_off_is_none() -> None:
    assert read("what is Plant/Line1/Temp?", NAMES).names[0][0].value == "Plant/Line1/Temp"
    assert read("plant/mode", NAMES).names == ()
    assert read("plant/mode", NAMES, {"plant/mode"}).names[0][0].type is SlotType.TOPIC
    assert read("on/off", NAMES).names == ()


def test_runs_and_codes_are_known_by_their_form() -> None:
    assert read("cancel 1f2e3d4c", NAMES).names[0][0].type is SlotType.RUN
    assert read("approve K7Q2MX", NAMES).names[0][0] == Name(SlotType.CODE, "k7q2mx")
    assert read("please cancel decade", NAMES).names == ()


@given(st.text(max_size=60))
def test_words_of_words_are_the_same_words(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words or any("/" in word or "'" in word for word in words)
