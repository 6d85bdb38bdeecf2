"""``state(topic, max_age)`` knows only what is recent enough."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.bus.last import LastValues
from appliance.bus.ports import Message
from appliance.bus.values import read_payload

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "known"),
    [
        (timedelta(), True),
        (timedelta(seconds=10), True),
        (timedelta(seconds=11), False),
        (-timedelta(hours=1), False),
    ],
)
def test_a_value_from_before_the_clock_was_set_back_is_not_recent(ago: timedelta, known: bool) -> None:
    last = LastValues()
    last.take(Message("mode", b"on", 1, False, False, 1, NOW - ago), read_payload(b"on"))
    read = last.reader(NOW)
    assert read("mode", timedelta(seconds=10)) == ("on" if known else None)
    assert read("mode", None) == "on"
