"""Whatever arrives becomes JSON that PostgreSQL takes."""

import json

import pytest

from appliance.lib.plain import plain, plain_object, plain_text, visible


def test_text_loses_what_postgresql_refuses_and_nothing_else() -> None:
    assert plain_text("a\x00b") == "a\ufffdb"
    assert plain_text("\ud83d") == "\ufffd"
    assert plain_text("温度 \U0001f525") == "温度 \U0001f525"


def test_numbers_that_json_cannot_say_become_text() -> None:
    assert plain([1e999, float("nan"), 1.5]) == ["inf", "nan", 1.5]


def test_keys_become_text_and_are_washed_too() -> None:
    assert plain_object({1: "a", "k\x00": b"\xff"}) == {"1": "a", "k\ufffd": "\ufffd"}


@pytest.mark.parametrize("depth", [1, 64, 200])
def test_deep_values_are_washed_whole(depth: int) -> None:
    value = json.loads("[" * depth + "]" * depth)
    assert plain(value) == value


def test_a_line_for_a_terminal_moves_no_cursor() -> None:
    assert visible("ü \x1b[2J\n\u202eok") == "ü \\x1b[2J\\n\\u202eok"
