"""An operator's limit holds in every stretch of its length, and never makes a platform faster than it bears."""

from datetime import timedelta

import pytest

from appliance.bridges.limits import MessageLimit
from appliance.outbox.domain import Bucket
from appliance.outbox.ports import Pace


def sent_at(pace: Pace, seconds: int) -> list[float]:
    """When messages go, for ever too many of them, looked at ten times a second."""
    bucket, times = Bucket(), []
    for tick in range(seconds * 10):
        now = tick / 10
        for _ in range(bucket.whole(now, pace.per_second, pace.burst) or 0):
            bucket.take()
            times.append(now)
    return times


@pytest.mark.parametrize("messages", [1, 2, 3, 7, 20, 100])
def test_no_stretch_has_more_than_the_limit(messages: int) -> None:
    times = sent_at(MessageLimit(messages=messages, per=timedelta(minutes=1)).slow_down(Pace()), 600)
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= messages
    assert len(times) >= 0.6 * messages * 10, "and it is used"


def test_the_platforms_own_pace_stays_the_ceiling() -> None:
    own = Pace(per_second=0.5, interval=1.0, burst=2)
    assert MessageLimit(messages=6000, per=timedelta(minutes=1)).slow_down(own) == own
