"""The physics of the simulated line."""

import json
from datetime import UTC, datetime

import pytest

from appliance.devices.simulator import AMBIENT, RUNNING, Line, PumpState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def play(line: Line, seconds: int) -> None:
    for _ in range(seconds):
        line.advance(1.0)


def test_the_same_seed_plays_the_same_line() -> None:
    one, other = Line.of(3, seed=7), Line.of(3, seed=7)
    play(one, 100)
    play(other, 100)
    assert [p.payload for p in one.readings(NOW)] == [p.payload for p in other.readings(NOW)]


def test_a_healthy_pump_stays_near_its_working_temperature() -> None:
    line = Line.of(1, seed=1)
    pump = line.pumps["p1"]
    for _ in range(100):
        pump.cooling = True
        line.advance(1.0)
        assert abs(pump.temperature - RUNNING) < 8


def test_a_hot_pump_overheats_soon_and_trips_by_itself_if_nobody_stops_it() -> None:
    line = Line.of(2, seed=3, hot=True)
    play(line, 40)
    assert line.pumps["p1"].temperature > 80
    assert line.pumps["p2"].temperature < 80
    changed: list[str] = []
    for _ in range(200):
        changed += line.advance(1.0)
    assert "p1" in changed
    assert line.pumps["p1"].state is PumpState.TRIPPED


def test_stopping_a_pump_cools_it_down_and_mends_it() -> None:
    line = Line.of(1, seed=3, hot=True)
    pump = line.pumps["p1"]
    while pump.temperature < 85:
        line.advance(1.0)
    before = pump.temperature
    assert line.command("plant/line1/pump/p1/cmd", b'{"running": false}') == "p1"
    assert pump.state is PumpState.STOPPED
    play(line, 30)
    assert pump.temperature < before - 10
    play(line, 400)
    assert pump.temperature == pytest.approx(AMBIENT, abs=1)
    assert pump.cooling
    assert pump.vibration < 0.2


def test_the_pace_of_the_clock_does_not_change_the_physics() -> None:
    fine, coarse = Line.of(1, seed=5), Line.of(1, seed=5)
    for line in (fine, coarse):
        line.command("plant/line1/pump/p1/cmd", b'{"running": false}')
    for _ in range(600):
        fine.advance(0.1)
    coarse.advance(60.0)
    assert fine.pumps["p1"].temperature == pytest.approx(coarse.pumps["p1"].temperature, abs=0.01)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("plant/line1/pump/p1/cmd", b"\xff"),
        ("plant/line1/pump/p1/cmd", b"[" * 100_000),
        ("plant/line1/pump/p1/cmd", b"true"),
        ("plant/line1/pump/p1/cmd", b'{"running": "no"}'),
        ("plant/line1/pump/p1/cmd", b'{"running": true}'),
        ("plant/line1/pump/p9/cmd", b'{"running": false}'),
        ("plant/line2/pump/p1/cmd", b'{"running": false}'),
        ("plant/line1/pump/p1/temp", b'{"running": false}'),
        ("cmd", b'{"running": false}'),
    ],
)
def test_commands_that_make_no_sense_change_nothing(topic: str, payload: bytes) -> None:
    line = Line.of(1, seed=1)
    assert line.command(topic, payload) is None
    assert line.pumps["p1"].state is PumpState.RUNNING


def test_readings_name_value_unit_and_time_and_only_states_are_retained() -> None:
    line = Line.of(2, seed=1)
    readings = {reading.topic: reading for reading in line.readings(NOW)}
    body = json.loads(readings["plant/line1/pump/p2/temp"].payload)
    assert body["unit"] == "C"
    assert body["t"].startswith("2026-01-01T00:00:00")
    assert isinstance(body["value"], float)
    assert not any(reading.retain for reading in readings.values())
    state = line.state_of("p1", NOW)
    assert state.retain
    assert json.loads(state.payload)["running"] is True
