"""What a chart's axes say, where its line is broken, what it says in words, and that it is a picture."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.devices.charts.domain import ChartSpec, in_words, short_names, shown
from appliance.devices.charts.drawing import HEIGHT, WIDTH, Drawing
from appliance.devices.charts.fonts import written
from appliance.devices.charts.order import read_order, write_order
from appliance.devices.charts.ticks import scale_of, time_ticks, unbroken, zone_name
from appliance.devices.charts.zone import box_zone
from appliance.devices.readings.domain import Point, Series

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def series(*values: float | None, topic: str = "plant/a/temp") -> Series:
    """One reading a minute up to noon; None where one is missing."""
    since = NOON - len(values) * MINUTE
    points = tuple(
        Point(since + n * MINUTE, value, value, value) for n, value in enumerate(values) if value is not None
    )
    last = points[-1] if points else None
    return Series(
        topic, "", since, NOON, MINUTE, points, last.mean if last else None, last.at if last else None
    )


def chart(*lines: Series, limit: float | None = None) -> ChartSpec:
    return ChartSpec(tuple(one.topic for one in lines), "", lines[0].since, NOON, limit)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (20, 83.1, ["20", "40", "60", "80"]),
        (0, 100, ["0", "50", "100"]),
        (5, 5, ["4.8", "5.0", "5.2"]),
        (-1, 1, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0, 0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_marks_stand_at_round_numbers(low: float, high: float, labels: list[str]) -> None:
    scale = scale_of(low, high)
    assert [scale.label(tick) for tick in scale.ticks] == labels
    assert scale.low <= low
    assert high <= scale.high


@pytest.mark.parametrize(("low", "high"), [(1e-12, 2e-12), (-1e300, 1e300), (1e15, 1e15 + 1), (3, 3 + 1e-12)])
def test_no_numbers_are_too_small_or_too_large_for_an_axis(low: float, high: float) -> None:
    scale = scale_of(low, high)
    assert 1 <= len(scale.ticks) <= 12
    assert all(len(scale.label(tick)) < 12 for tick in scale.ticks)


def test_times_stand_at_round_moments_of_the_wall_clock() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    hour = [said for _, said in time_ticks(NOON - timedelta(minutes=57), NOON, UTC)]
    assert hour == ["11:10", "11:20", "11:30", "11:40", "11:50", "12:00"]
    day = [said for _, said in time_ticks(NOON - timedelta(days=1, hours=1), NOON, shanghai)]
    assert day == ["03-01", "06:00", "12:00", "18:00"]
    assert [said for _, said in time_ticks(NOON - timedelta(days=6), NOON, UTC)][-1] == "03-01"
    assert zone_name(NOON, UTC) == "UTC"
    assert zone_name(NOON, shanghai) == "UTC+08:00"


def test_the_line_is_broken_where_readings_are_missing() -> None:
    line = series(1, 2, 3, None, 5, None, None, None, 9, 10)
    assert [len(piece) for piece in unbroken(line.points, line.width)] == [4, 2]
    assert unbroken((), MINUTE) == []


def test_a_device_that_speaks_seldom_is_not_full_of_gaps() -> None:
    points = tuple(Point(NOON + n * 10 * MINUTE, n, n, n) for n in range(6))
    assert len(unbroken(points, timedelta(seconds=10))) == 1


def test_words_say_what_the_picture_would_show() -> None:
    assert in_words(chart(series(20, 83.1)), (series(20, 83.1),)) == "temp: last 83.1, min 20, max 83.1 in 2m"
    nothing = series(None)
    assert in_words(chart(nothing), (nothing,)) == "temp: no readings yet"


def test_names_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    topics = ("plant/a/pump/1/temp", "plant/a/pump/2/temp")
    assert short_names(ChartSpec(topics, "", NOON - MINUTE, NOON)) == ["1/temp", "2/temp"]
    assert short_names(ChartSpec(topics[:1], "max", NOON - MINUTE, NOON)) == ["temp max"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (83.1, "83.1"),
        (83.14159, "83.14"),
        (0, "0"),
        (-0.00001, "-1e-05"),
        (1234.5, "1234"),
        (3e9, "3e+09"),
        (0.25, "0.25"),
    ],
)
def test_numbers_as_people_read_them(number: float, text: str) -> None:
    assert shown(number) == text


def test_an_order_arrives_as_it_was_written() -> None:
    lines = [series(20, None, 83.1), series(None, topic="plant/b/temp")]
    spec = ChartSpec(tuple(one.topic for one in lines), "", lines[0].since, NOON, 80.0)
    read, got = read_order(write_order(spec, lines))
    assert read == spec
    assert [one.points for one in got] == [one.points for one in lines]
    assert got[0].last_at == lines[0].last_at
    assert got[1].last is None


@pytest.mark.parametrize(
    "lines",
    [
        (series(1, 2, 3, None, None, None, None, 4),),
        (series(5),),
        (
            series(1, 2),
            series(None, topic="plant/b"),
            series(3, 4, topic="工厂/温度"),
            series(0, 0, topic="x" * 300),
        ),
    ],
)
def test_every_chart_is_a_picture(lines: tuple[Series, ...]) -> None:
    picture = Drawing(chart(*lines, limit=80), lines, UTC).png()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (WIDTH, HEIGHT)


def test_letters_that_no_font_has_are_escaped_and_never_boxes() -> None:
    text, _ = written("temp \U00013000", 16)
    assert text == "temp \\U00013000"
    assert written("plant/temp", 16)[0] == "plant/temp"


def test_a_machine_that_names_no_zone_is_in_utc(tmp_path: Path) -> None:
    assert box_zone(tmp_path / "localtime") is UTC
    (tmp_path / "broken").write_text("no zone")
    assert box_zone(tmp_path / "broken") is UTC
