"""Durations as people write them."""

from datetime import timedelta

import pytest

from appliance.lib.duration import DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 1H 30M ", 5400),
        (0, 0),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "m",
        "5 min",
        "-5s",
        "5s-",
        "1e3s",
        -1,
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        1e11,
        "9" * 39 + "w",
        "1h" * 30,
    ],
)
def test_what_is_not_a_duration_is_refused_with_a_hint(text: object) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert caught.value.hint


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 3661, 86400, 90061, 0.25, 604800])
def test_what_is_written_is_read_back(seconds: float) -> None:
    length = timedelta(seconds=seconds)
    assert parse_duration(format_duration(length)) == length
