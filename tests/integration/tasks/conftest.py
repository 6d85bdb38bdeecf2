"""Time triggers on the real database; runs are started by the product's own starter."""

import pytest

from tests import database
from tests.database import emptied

EMPTIED = emptied(
    *("runs_run", "runs_step", "runs_turn", "runs_rate"),
    *("tasks_occurrence", "tasks_webhookseen", "events_event"),
)


@pytest.fixture
def clean(transactional_db: None) -> None:
    database.execute(EMPTIED)


@pytest.fixture(autouse=True)
def silent_hints(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker listens: whatever must happen, happens without a hint."""
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)
    monkeypatch.setattr("appliance.tasks.doors._hint", lambda run_ids: None)
