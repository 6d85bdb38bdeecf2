"""What always holds of runs, steps, leases and occurrences, whatever the model does with them."""

import asyncio
from collections import Counter
from typing import Any, ClassVar
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from appliance.runs.domain import FINAL, RECOVERY_LIMIT
from tests.integration.runs.model.house import ModelHouse

UNSAFE = ("b", "c")
ROWS = "SELECT * FROM runs_run ORDER BY id"
STEPS = "SELECT * FROM runs_step ORDER BY run_id, step, attempt"


class Invariants(RuleBasedStateMachine):
    """``make`` gives an empty house on a real database; set it before use."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    make: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.house: ModelHouse = self.wait(type(self).make())
        self.started: list[UUID] = []
        self.last: dict[UUID, dict[str, Any]] = {}
        self.committed: dict[tuple[str, str], int] = {}
        self.stopped = False

    def wait(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def sql(self, text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.wait(self.house.engine.sql(text))
        return found

    def row(self, run: UUID) -> dict[str, Any]:
        found: dict[str, Any] = self.wait(self.house.engine.run(run))
        return found

    def always(self) -> None:
        self.nothing_is_lost_and_rows_make_sense()
        self.steps_are_append_only_and_effects_are_not_repeated()

    @invariant()
    def nothing_is_lost_and_rows_make_sense(self) -> None:
        rows = {row["id"]: row for row in self.sql(ROWS)}
        assert sorted(rows) == sorted(self.started)
        occurrences = self.sql("SELECT run_id, trigger, due_at FROM tasks_occurrence")
        assert sorted(row["run_id"] for row in occurrences if row["run_id"]) == sorted(self.started)
        due = Counter(row["due_at"] for row in occurrences if row["trigger"] == "clock")
        assert [time for time, times in due.items() if times > 1] == [], "a due time has two occurrences"
        for run, row in rows.items():
            running = row["state"] == "running"
            assert (bool(row["lease_owner"]), row["lease_until"] is not None) == (running, running)
            assert bool(row["waiting_for"]) == (row["state"] == "waiting")
            assert (row["finished_at"] is not None) == (row["state"] in FINAL)
            assert row["state"] != "poisoned" or row["recoveries"] > RECOVERY_LIMIT
            before = self.last.get(run)
            if before is not None:
                assert row["version"] >= before["version"]
                assert row["epoch"] >= before["epoch"]
                if before["state"] != row["state"]:
                    assert row["version"] > before["version"], "a state changed without a new version"
                if before["state"] in FINAL:
                    assert row == before, "a run that had ended changed"
        self.last = rows

    @invariant()
    def steps_are_append_only_and_effects_are_not_repeated(self) -> None:
        # Whoever stood still after its last look at its lease acts once more when it wakes: P3 lets that be
        # for what may be repeated. What may not was never begun by a second worker.
        effects = self.house.effects - self.house.late
        epochs = {run: row["epoch"] for run, row in self.last.items()}
        for step in self.sql(STEPS):
            key = (str(step["run_id"]), step["step"])
            assert step["epoch"] <= epochs.get(step["run_id"], step["epoch"])
            if step["state"] == "succeeded":
                self.committed.setdefault(key, effects[key])
        again = {key: effects[key] for key, times in self.committed.items() if effects[key] != times}
        assert again == {}, "a committed step ran again"
        assert [key for key, times in self.house.effects.items() if key[1] in UNSAFE and times > 1] == []
        assert self.house.unannounced == [], "an effect without its intent"
