"""Which numbers of a payload are readings."""

from typing import Any

import pytest

from appliance.devices.readings.domain import MOST_NUMBERS, is_path, numbers_of


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        (83.1, "", [("", 83.1)]),
        (83, "", [("", 83.0)]),
        ({"value": 83.1, "unit": "°C"}, "", [("value", 83.1)]),
        ({"temp": 83.1}, "", []),
        ({"motor": {"temps": [20, 21.5]}}, "motor.temps.1", [("motor.temps.1", 21.5)]),
        ({"motor": {"temps": [20]}}, "motor.temps.7", []),
        ({"motor": 3}, "motor.temp", []),
        ({"temp": "83.1"}, "temp", []),
        (True, "", []),
        ("hot", "", []),
        (None, "", []),
        (10**400, "", []),
        (
            {"temp": 20, "on": True, "hum": 50.5, "a.b": 1, "deep": {"x": 1}},
            None,
            [("temp", 20.0), ("hum", 50.5)],
        ),
        (7, None, [("", 7.0)]),
    ],
)
def test_the_numbers_of_a_payload(value: Any, path: str | None, found: list[tuple[str, float]]) -> None:
    assert list(numbers_of(value, path)) == found


def test_a_payload_of_a_thousand_numbers_is_not_recorded_whole() -> None:
    assert len(list(numbers_of({f"n{n}": n for n in range(1000)}, None))) == MOST_NUMBERS


@pytest.mark.parametrize(
    ("text", "good"), [("value", True), ("a.b.0", True), ("", False), ("a..b", False), ("a b", False)]
)
def test_what_a_path_looks_like(text: str, good: bool) -> None:
    assert is_path(text) is good
