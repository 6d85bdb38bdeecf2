"""An order to stop by MQTT always stops, whatever it says."""

import pytest

from appliance.processes.box_topics import read_order
from appliance.safety.stop import Level


@pytest.mark.parametrize(
    ("payload", "level", "reason"),
    [
        (b"freeze", Level.FREEZE, ""),
        (b" CUT leak in hall 3\n", Level.CUT, "leak in hall 3"),
        (b'{"level": "read_only", "reason": "audit"}', Level.READ_ONLY, "audit"),
        (b'{"level": "none"}', Level.KILL, ""),
        (b"none", Level.KILL, "none"),
        (b"release", Level.KILL, "release"),
        (b"1", Level.KILL, ""),
        (b"\xff\xfe", Level.KILL, "\ufffd\ufffd"),
        (b"[" * 900, Level.KILL, "[" * 900),
    ],
)
def test_an_order_names_a_level_or_means_kill(payload: bytes, level: Level, reason: str) -> None:
    assert read_order(payload) == (level, reason)
