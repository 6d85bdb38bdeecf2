"""The pure parts of a measurement: schedule, percentile, ramp, rows, and what makes a machine busy."""

from collections.abc import Callable

import pytest

from appliance.processes.bench.load import Report, Schedule
from appliance.processes.bench.quiet import OTHERS_BOUND, Conditions, Times, others_share, read_times
from appliance.processes.bench.ramp import FIRST, RATES, highest, holds
from appliance.processes.bench.rows import Row, percentile, report

QUIET = Conditions(load_before=0.5, load_after=0.7, others=OTHERS_BOUND, late_ms=0.4)


def test_an_event_is_due_at_its_time_whatever_became_of_those_before_it() -> None:
    schedule = Schedule(began=100.0, rate=200.0, count=4)
    assert [schedule.due(index) for index in range(4)] == [100.0, 100.005, 100.01, 100.015]
    assert schedule.end == 100.02
    late = [index for index in range(6) if schedule.is_due(index, 107.0)]
    assert late == [0, 1, 2, 3]
    assert not schedule.is_due(1, 100.0049)
    assert schedule.is_due(1, 100.005)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (51, 100, 100)
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("value", "better", "bar", "met"),
    [
        (2.0, "lower", 2, True),
        (2.1, "lower", 2, False),
        (5000.0, "higher", 5000, True),
        (4999.0, "higher", 5000, False),
        (1.0, "lower", None, None),
        (None, "lower", 2, None),
    ],
)
def test_a_bar_is_met_from_the_better_side(value: float, better: str, bar: float, met: bool) -> None:
    assert Row("r", value, "ms", "lower" if better == "lower" else "higher", bar).met is met


def test_the_report_names_machine_versions_settings_and_every_row() -> None:
    rows = [
        Row("reflex_p50_ms", 1.5, "ms", "lower", 2),
        Row("peer_x_p50_ms", None, "ms", "lower", busy=True, note="no node"),
    ]
    found = report(rows, {"MILLWRIGHT_POWER_SAFE": "no"}, {"reflex": QUIET}, {"peer_x": "x==1"})
    assert list(found) == ["machine", "versions", "settings", "rows", "conditions"]
    assert found["settings"] == {"MILLWRIGHT_POWER_SAFE": "no"}
    versions = found["versions"]
    assert isinstance(versions, dict)
    assert versions["peer_x"] == "x==1"
    first = {"name": "reflex_p50_ms", "value": 1.5, "unit": "ms", "bar": 2, "better": "lower", "met": True}
    second = {
        "name": "peer_x_p50_ms",
        "value": None,
        "unit": "ms",
        "bar": None,
        "better": "lower",
        "met": None,
    }
    assert found["rows"] == [{**first, "busy": False}, {**second, "busy": True, "note": "no node"}]
    noted = {"load_before": 0.5, "load_after": 0.7, "others_percent": 15.0, "late_ms": 0.4, "busy": False}
    assert found["conditions"] == {"reflex": noted}


def test_a_machine_is_busy_by_what_others_took_and_not_by_the_bench_itself() -> None:
    before = Times(total=1000, used=500, own=100)
    assert others_share(before, Times(total=1200, used=700, own=300)) == 0.0
    assert others_share(before, Times(total=1200, used=700, own=200)) == 0.5
    assert others_share(before, Times(total=1200, used=600, own=250)) == 0.0
    assert others_share(before, before) == 0.0
    assert not QUIET.busy
    assert Conditions(0, 0, OTHERS_BOUND + 0.01, 0).busy


def test_the_work_of_this_process_is_its_own() -> None:
    before = read_times()
    while (after := read_times()).own < before.own + 20:
        pass
    assert after.total >= before.total + 10
    assert after.used >= before.used + 10, "half of it: the kernel samples the one and counts the other"


def held_up_to(limit: int) -> tuple[Callable[[int, int], Report], list[int], list[int]]:
    rates, numbers = list[int](), list[int]()

    def load(rate: int, first: int) -> Report:
        rates.append(rate)
        numbers.append(first)
        return Report(latencies=[10.0 if rate <= limit else 900.0])

    return load, rates, numbers


@pytest.mark.parametrize(
    ("limit", "found"), [(20_000, RATES[-1]), (2000, 2000), (499, 300), (160, 150), (1, 0)]
)
def test_the_ramp_ends_at_the_highest_rate_that_holds(limit: int, found: int) -> None:
    load, rates, numbers = held_up_to(limit)
    cleared = list[int]()
    assert highest(load, lambda: cleared.append(len(rates))) == found
    assert rates[0] == RATES[FIRST] == 500
    assert len(set(numbers)) == len(rates)
    assert bool(cleared) is (limit < 500)


@pytest.mark.parametrize(
    "report_",
    [Report(), Report(latencies=[1.0], lost=1), Report(latencies=[1.0], twice=1), Report(latencies=[250.0])],
)
def test_a_rate_at_which_something_goes_wrong_does_not_hold(report_: Report) -> None:
    assert not holds(report_)
