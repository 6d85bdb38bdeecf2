"""A task that floods suppresses its own runs beyond its limit: counted, the last ones traced, no row each."""

import asyncio

import pytest

from appliance.runs.services import NotAdmitted
from appliance.runs.tally import KEEP_TRACES
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_intake import door, letter

LIMITED = """
- name: t
  triggers: [{id: any, mqtt: {topic: "plant/#", payload: json}}]
  limit: {runs: 10, per: 1m}
  actions: [{type: set, value: 1}]
- name: calm
  triggers: [{id: any, mqtt: {topic: "plant/#", payload: json}}]
  actions: [{type: set, value: 1}]
"""
OLDER = "UPDATE runs_rate SET recent = ARRAY(SELECT at - %s::interval FROM unnest(recent) at)"


async def test_beyond_the_limit_events_are_counted_and_the_last_ones_traced(engine: Engine) -> None:
    opened = await door(engine, LIMITED)
    for start in range(0, 120, 40):
        await opened.intake.deliver([letter("plant/a", number) for number in range(start, start + 40)])
    await opened.intake.prune()
    assert (await opened.runs("t"), await opened.runs("calm")) == (10, 120)
    assert await engine.count("tasks_occurrence") == 130
    traces = await engine.sql("SELECT reason, event FROM tasks_nottriggered ORDER BY id")
    assert len(traces) == KEEP_TRACES
    assert traces[-1]["reason"] == "beyond the task's limit of 10 per 1m"
    assert traces[-1]["event"]["payload"] == 119
    (row,) = await engine.sql("SELECT suppressed, suppressed_at IS NOT NULL AS dated FROM runs_rate")
    assert row == {"suppressed": 110, "dated": True}
    (row,) = await engine.sql("SELECT fired, refused FROM tasks_tasktrigger g WHERE refused > 0")
    assert row == {"fired": 10, "refused": 110}


async def test_in_any_stretch_of_that_length_not_only_in_full_minutes(engine: Engine) -> None:
    opened = await door(engine, LIMITED)
    await opened.intake.deliver([letter("plant/a", 1)] * 6)
    await engine.sql(OLDER, "50 seconds")
    await opened.intake.deliver([letter("plant/a", 1)] * 6)
    assert await opened.runs("t") == 10
    await engine.sql(OLDER, "20 seconds")
    await opened.intake.deliver([letter("plant/a", 1)] * 20)
    assert await opened.runs("t") == 16


async def test_a_clock_that_was_set_back_does_not_silence_the_task(engine: Engine) -> None:
    opened = await door(engine, LIMITED)
    await opened.intake.deliver([letter("plant/a", 1)] * 10)
    await engine.sql(OLDER, "-1 hour")
    await opened.intake.deliver([letter("plant/a", 1)] * 20)
    assert await opened.runs("t") == 20


async def test_doors_that_race_let_no_more_in_than_the_limit(engine: Engine) -> None:
    doors = [await door(engine, LIMITED) for _ in range(5)]
    await asyncio.gather(
        *(opened.intake.deliver([letter("plant/a", 1)] * 4) for opened in doors for _ in range(3))
    )
    assert await doors[0].runs("t") == 10
    (row,) = await engine.sql("SELECT suppressed FROM runs_rate")
    assert row["suppressed"] == 5 * 12 - 10


async def test_a_person_is_told_that_the_limit_is_reached(engine: Engine) -> None:
    text = "- {name: t, trigger: manual, limit: {runs: 1, per: 1h}, actions: [{type: set, value: 1}]}"
    await engine.begin(text)
    with pytest.raises(NotAdmitted, match="limit of 1 per 1h"):
        await engine.start("t")
    assert await engine.count("tasks_occurrence WHERE state = 'suppressed'") == 1


async def test_what_overlap_skips_counts_in_the_limit_too(engine: Engine) -> None:
    opened = await door(engine, LIMITED.replace("  limit:", "  overlap: skip\n  limit:"))
    await opened.intake.deliver([letter("plant/a", 1)] * 50)
    assert await opened.runs("t") == 1
    assert await engine.count("tasks_occurrence WHERE state = 'skipped'") == 9
