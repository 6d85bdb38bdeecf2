"""What must be true of a box after something was taken from it."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.acceptance.box import House

RATE = 20.0
"""Events a second that the device sends."""


def all_done(house: House, wanted: set[int]) -> bool:
    done = {
        row["inputs"]["payload"]["seq"] for row in house.runs_of("crash_echo") if row["state"] == "succeeded"
    }
    return wanted <= done


def missing(house: House, wanted: set[int]) -> dict[int, Any]:
    """For the message of a failure: the state of the run of each number that did not succeed."""
    states = {row["inputs"]["payload"]["seq"]: row["state"] for row in house.runs_of("crash_echo")}
    return {seq: states.get(seq) for seq in wanted if states.get(seq) != "succeeded"}


def check_repeats(house: House, first: int, doubtful: set[int]) -> int:
    runs: dict[int, list[dict[str, Any]]] = {}
    for row in house.runs_of("crash_echo"):
        seq = row["inputs"]["payload"]["seq"]
        if seq >= first:
            runs.setdefault(seq, []).append(row)
    repeated = {seq: rows for seq, rows in runs.items() if len(rows) > 1 and seq not in doubtful}
    unmarked = [
        seq
        for seq, rows in repeated.items()
        if not all(r["inputs"]["event"].get("redelivered") for r in rows[1:])
    ]
    assert unmarked == []
    assert len(repeated) <= RATE * 3
    return len(repeated)


def check_clock(house: House) -> None:
    """Two seconds apart, without a gap, each once."""
    rows = house.sql(
        "SELECT o.due_at FROM tasks_occurrence o JOIN tasks_task t ON t.id = o.task_id "
        "WHERE t.name = 'clockwork' ORDER BY o.due_at"
    )
    dues = [row["due_at"] for row in rows]
    assert [due for due, count in Counter(dues).items() if count > 1] == []
    assert [one for one, two in pairwise(dues) if two - one != timedelta(seconds=2)] == []
