"""Tasks with overlap, limit, for or debounce go to the workers, and keep their rules beside a reflex lane."""

import pytest

from appliance.tasks.definition.vocabulary import OverlapPolicy
from tests.integration.runs.reflex.conftest import MakeReactor
from tests.integration.runs.test_holds import BURST, HOT, pass_time
from tests.integration.runs.test_intake import letter
from tests.integration.runs.test_limit import LIMITED


async def test_a_limit_holds_and_is_counted_beside_the_reflex_lane(reactor: MakeReactor) -> None:
    life = await reactor(LIMITED)
    for start in range(0, 60, 20):
        await life.intake.deliver([letter("plant/a", number) for number in range(start, start + 20)])
    await life.intake.tell_refused()
    engine = life.engine
    assert await engine.count("runs_run WHERE lane = 'worker'") == 10
    rows = await engine.sql(
        "SELECT t.name, g.fired, g.refused FROM tasks_tasktrigger g JOIN tasks_task t ON t.id = g.task_id "
        "WHERE t.name IN ('t', 'calm') ORDER BY t.name"
    )
    assert [tuple(row.values()) for row in rows] == [("calm", 60, 0), ("t", 10, 50)]
    assert await engine.count("tasks_nottriggered") == 20


@pytest.mark.parametrize("policy", [OverlapPolicy.SKIP, OverlapPolicy.QUEUE])
async def test_overlap_holds_beside_the_reflex_lane(reactor: MakeReactor, policy: OverlapPolicy) -> None:
    text = LIMITED.replace("limit: {runs: 10, per: 1m}", f"overlap: {policy.value}")
    life = await reactor(text)
    await life.intake.deliver([letter("plant/a", number) for number in range(5)])
    waiting = await life.engine.count("runs_run WHERE state = 'waiting' AND waiting_for = 'turn'")
    skipped = await life.engine.count("tasks_occurrence WHERE state = 'skipped'")
    assert (waiting, skipped) == ((0, 4) if policy is OverlapPolicy.SKIP else (4, 0))


async def test_holds_are_written_and_fired_beside_the_reflex_lane(reactor: MakeReactor) -> None:
    life = await reactor(HOT)
    await life.intake.deliver([letter("plant/a/temp", 81), letter("plant/b/temp", 82)])
    await life.intake.deliver([letter("plant/b/temp", 10)])
    await pass_time(life.engine, "30 seconds")
    assert len(await life.intake.holds_due()) == 1
    await life.intake.tell_refused()
    reasons = [row["reason"] for row in await life.engine.sql("SELECT reason FROM tasks_nottriggered")]
    assert any(reason.startswith("holding pump=a since") for reason in reasons)
    assert any("the hold of pump=b ended" in reason for reason in reasons)
    (row,) = await life.engine.sql("SELECT fired, refused FROM tasks_tasktrigger")
    assert row == {"fired": 1, "refused": 1}


async def test_a_burst_ends_beside_the_reflex_lane(reactor: MakeReactor) -> None:
    life = await reactor(BURST)
    await life.intake.deliver([letter("plant/a/temp", number) for number in range(5)])
    assert await life.engine.count("runs_run") == 0
    await pass_time(life.engine, "5 seconds")
    assert len(await life.intake.holds_due()) == 1
