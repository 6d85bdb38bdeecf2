"""The highest rate that holds, found by the same steps for the box and for every peer."""

from collections.abc import Callable

from appliance.processes.bench.load import Report
from appliance.processes.bench.rows import percentile

RATES = (50, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10000, 14000)
FIRST = RATES.index(500)
P99_MS = 250.0
NUMBERS = 1_000_000
"""Events of one step have numbers of their own, so that a late answer is not taken for one of the next."""


def holds(report: Report) -> bool:
    """p99 stays below 250 ms, nothing is lost and nothing comes twice."""
    clean = bool(report.latencies) and not report.lost and not report.twice
    return clean and percentile(report.latencies, 0.99) < P99_MS


def highest(load: Callable[[int, int], Report], after_failure: Callable[[], None]) -> int:
    """Upwards from 500 events/s while it holds; where 500 does not, downwards until it does. 0 for none.

    ``load`` takes the rate and the first number of its events. ``after_failure`` clears what has piled up.
    """
    steps, number = iter(range(20, 20 + len(RATES))), FIRST
    best = 0
    while number < len(RATES) and holds(load(RATES[number], next(steps) * NUMBERS)):
        best, number = RATES[number], number + 1
    if best:
        return best
    for rate in reversed(RATES[:FIRST]):
        after_failure()
        if holds(load(rate, next(steps) * NUMBERS)):
            return rate
    return 0
