"""Beat's rows after the clock was set back."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from appliance.tasks.periodic import SIGN, TICK, ensure_tick, forget_future

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_a_firing_in_the_future_holds_no_row_back() -> None:
    ensure_tick()
    past = NOW - timedelta(minutes=1)
    PeriodicTask.objects.filter(name=TICK).update(last_run_at=NOW + timedelta(hours=1))
    PeriodicTask.objects.filter(name=SIGN).update(last_run_at=past)
    assert forget_future(NOW) == 1
    assert dict(PeriodicTask.objects.values_list("name", "last_run_at")) == {TICK: None, SIGN: past}
