"""What must be true after a crash, of the rows and of what was done outside of the box."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.acceptance.box import House
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

FINAL = ("succeeded", "failed", "cancelled", "undone", "poisoned")
_RUNS = """
SELECT r.*, o.id AS fired FROM tasks_occurrence o JOIN tasks_task t ON t.id = o.task_id
LEFT JOIN runs_run r ON r.id = o.run_id
WHERE t.name = %s AND (o.event -> 'payload' ->> 'seq')::int BETWEEN %s AND %s ORDER BY o.id
"""
_COMMITTED = """
SELECT s.run_id, s.step, s.epoch, s.finished_at FROM runs_step s JOIN runs_run r ON r.id = s.run_id
JOIN tasks_task t ON t.id = r.task_id WHERE t.name = %s AND s.state IN ('succeeded', 'skipped', 'handed_over')
"""
_AHEAD = "SELECT r.id FROM runs_run r JOIN runs_step s ON s.run_id = r.id WHERE s.epoch > r.epoch"
_UNANNOUNCED = """
SELECT l.subject FROM unnest(%s::text[]) AS l(subject) WHERE NOT EXISTS (
    SELECT 1 FROM audit_record a WHERE a.kind = 'step.intent' AND a.subject = l.subject)
"""


@dataclass(frozen=True, slots=True)
class Committed:
    """The steps that were on record at one moment, with their epochs, and what had been done by then."""

    steps: dict[tuple[str, str], int]
    times: Counter[tuple[str, str]]


def committed(house: House, notebook: Notebook, task: str) -> Committed:
    """Rows first: what is on record by now is never done again, so that later lines cannot be its."""
    steps = {(str(row["run_id"]), row["step"]): row["epoch"] for row in house.sql(_COMMITTED, task)}
    return Committed(steps, notebook.times())


def runs_between(house: House, task: str, first: int, last: int) -> list[dict[str, Any]]:
    """A row for each occurrence; without an ``id`` where its run is missing."""
    return house.sql(_RUNS, task, first, last)


def settled(house: House, task: str, wanted: set[int]) -> bool:
    """Whether each event has an occurrence, and each of their runs is at its end or waits for a person."""
    if not wanted:
        return True
    rows = runs_between(house, task, min(wanted), max(wanted))
    seen = {row["inputs"]["payload"]["seq"] for row in rows if row["id"]}
    return wanted <= seen and all(
        row["id"] and (row["state"] in FINAL or row["waiting_for"] == "ambiguous") for row in rows
    )


def states(house: House, task: str, wanted: set[int]) -> dict[int, list[str]]:
    """For the message of a failure."""
    found: dict[int, list[str]] = {seq: [] for seq in wanted}
    for row in runs_between(house, task, min(wanted, default=0), max(wanted, default=0)):
        if row["id"]:
            seq = row["inputs"]["payload"]["seq"]
            found.setdefault(seq, []).append(f"{row['state']} {row['waiting_for']}".strip())
        else:
            found.setdefault(-1, []).append(f"occurrence {row['fired']} has no run")
    return {seq: said for seq, said in found.items() if said != ["succeeded"]}


def wait_until_settled(house: House, task: str, wanted: set[int], seconds: float) -> None:
    try:
        wait_for(lambda: settled(house, task, wanted), seconds)
    except AssertionError as late:
        raise AssertionError(f"{task}, lost or stuck: {states(house, task, wanted)}") from late


def check_counts(house: House, task: str, wanted: set[int], doubtful: set[int]) -> int:
    """One run per event; a second one only where the broker said that it sends the event again."""
    runs: dict[int, list[dict[str, Any]]] = {}
    for row in runs_between(house, task, min(wanted), max(wanted)):
        runs.setdefault(row["inputs"]["payload"]["seq"], []).append(row)
    twice = {seq: rows for seq, rows in runs.items() if len(rows) > 1 and seq not in doubtful}
    unmarked = {
        seq: [(row["created_at"], row["inputs"]["event"].get("redelivered")) for row in rows]
        for seq, rows in twice.items()
        if not all(row["inputs"]["event"].get("redelivered") for row in rows[1:])
    }
    assert unmarked == {}
    return len(twice)


def check_effects(house: House, notebook: Notebook, task: str, before: Committed) -> None:
    """No unsafe effect twice, no committed step again, no effect without its intent, no epoch from the future."""
    times = notebook.times()
    again = {key: times[key] for key in before.steps if times[key] > before.times[key]}
    assert again == {}, "a committed step ran again"
    after = committed(house, notebook, task).steps
    assert {key: after.get(key) for key in before.steps} == before.steps, "a committed step was written again"
    unsafe = house.sql("SELECT DISTINCT run_id, step FROM runs_step WHERE effect = 'unsafe'")
    twice = [key for row in unsafe if times[key := (str(row["run_id"]), row["step"])] > 1]
    assert twice == [], "an unsafe effect happened twice"
    assert house.sql(_UNANNOUNCED, [f"{run}/{step}" for run, step in times]) == []
    assert house.sql(_AHEAD) == []


def check_messages(house: House, task: str) -> None:
    """The loopback knows each message's key: one message for each green run, none twice."""
    rows = house.sql(
        "SELECT r.id, r.state, count(m.id) AS messages FROM runs_run r JOIN tasks_task t ON t.id = r.task_id "
        "LEFT JOIN bridges_message m ON m.run_id = r.id WHERE t.name = %s GROUP BY r.id, r.state",
        task,
    )
    wrong = [row for row in rows if row["messages"] != (row["state"] == "succeeded")]
    assert wrong == []


def check_heard(house: House, task: str, heard: list[tuple[str, int, int, bool]]) -> None:
    """A run of the reflex lane is on record as a whole; only where it never was, a worker does it again, once."""
    times = Counter((run, step) for run, _, step, repeat in heard if not repeat)
    most = {str(row["id"]): 1 if row["lane"] == "reflex" else 2 for row in house.runs_of(task)}
    often = {key: n for key, n in times.items() if key[0] in most and n > most[key[0]]}
    assert often == {}, "a step that was on record was done again"
