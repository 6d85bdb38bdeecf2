"""`effect: pure` is the author's word for how a step may be repeated; that it reaches something is its kind's."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.integration.runs.conftest import Engine, outcome, task
from tests.integration.runs.reflex.conftest import MakeReactor, letter, reactor

__all__ = ["reactor"]

STEPS = {
    "mqtt": "    - {id: s, type: mqtt, effect: pure, topic: out/valve}\n",
    "shell": "    - {id: s, type: shell, effect: pure, command: touch x}\n",
}
READING = "    - {id: s, type: shell, command: uptime}\n"
HOT = """
- name: t
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  %s
  actions:
    - {id: s, type: mqtt, effect: pure, topic: out/valve}
"""
SHUT = "{plant_state: \"{{ state('plant/mode') == 'auto' }}\"}"

acting = pytest.mark.parametrize("kind", sorted(STEPS))


def stop(engine: Engine, level: str = "kill") -> None:
    (engine.home / "ALLSTOP").write_text(level)


async def mine(engine: Engine, kind: str, run_id: UUID) -> list[dict[str, Any]]:
    rows = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = %s AND subject = %s", kind, f"{run_id}/s"
    )
    return [json.loads(row["body"])["detail"] for row in rows]


def reached(engine: Engine) -> int:
    return len(engine.world.published) + len(engine.world.jobs)


@acting
async def test_the_all_stop_holds_it(engine: Engine, kind: str) -> None:
    stop(engine)
    run_id = await engine.begin(task(STEPS[kind]))
    assert (await engine.perform(run_id))["waiting_for"] == "all_stop"
    assert reached(engine) == 0


@acting
async def test_a_viewers_task_may_not_do_it(engine: Engine, kind: str) -> None:
    run_id = await engine.begin(task(STEPS[kind], principal="viewer"))
    assert (await engine.perform(run_id))["state"] == "failed"
    assert reached(engine) == 0
    (refusal,) = await mine(engine, "step.refused", run_id)
    assert (refusal["rule"], refusal["effect"]) == ("role.ceiling", "pure")


@acting
async def test_the_plants_state_holds_it(engine: Engine, kind: str) -> None:
    run_id = await engine.begin(task(STEPS[kind], gate=SHUT))
    assert (await engine.perform(run_id))["waiting_for"] == "plant_state"
    assert reached(engine) == 0


@acting
async def test_its_intent_is_on_record_before_it_acts(engine: Engine, kind: str) -> None:
    run_id = await engine.begin(task(STEPS[kind]))
    seen: list[Any] = []

    async def look(*_: Any) -> Any:
        seen.extend(await engine.steps(run_id))
        seen.extend(await mine(engine, "step.intent", run_id))
        return outcome()

    engine.world.publishing = engine.world.working = look
    assert (await engine.perform(run_id))["state"] == "succeeded"
    row, record = seen
    assert row == ("s", 1, "intent")
    assert (record["kind"], record["effect"], record["rule"]) == (kind, "pure", "box/default@0")


async def test_a_command_that_only_reads_goes_on_while_effects_are_frozen(engine: Engine) -> None:
    stop(engine, "freeze")
    run_id = await engine.begin(task(READING, principal="viewer", gate=SHUT))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await mine(engine, "step.intent", run_id) == []


async def test_from_kill_on_it_waits_since_it_would_be_killed(engine: Engine) -> None:
    stop(engine, "kill")
    run_id = await engine.begin(task(READING, principal="viewer"))
    assert (await engine.perform(run_id))["waiting_for"] == "all_stop"
    assert engine.world.jobs == []


async def test_an_author_may_be_stricter_than_the_kind(engine: Engine) -> None:
    stop(engine)
    run_id = await engine.begin(task(READING.replace("shell,", "shell, effect: unsafe,")))
    assert (await engine.perform(run_id))["waiting_for"] == "all_stop"


# --- the reflex lane ----------------------------------------------------------------------------------------


async def test_the_reflex_lane_performs_it_with_its_record(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(HOT % "")
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["lane"], run["state"], reached(engine)) == ("reflex", "succeeded", 1)
    (last,) = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = 'steps.intent' ORDER BY seq DESC LIMIT 1"
    )
    (step,) = json.loads(last["body"])["detail"]["steps"]
    assert (step["step"], step["effect"]) == (f"{run['id']}/s", "pure")


@pytest.mark.parametrize(("more", "waits"), [("", "all_stop"), (f"gate: {SHUT}", "plant_state")])
async def test_the_reflex_lane_holds_it(engine: Engine, reactor: MakeReactor, more: str, waits: str) -> None:
    if waits == "all_stop":
        stop(engine)
    here = await reactor(HOT % more)
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["lane"], run["state"], reached(engine)) == ("reflex", "queued", 0)
    assert (await engine.perform(run["id"]))["waiting_for"] == waits


async def test_the_reflex_lane_refuses_it_to_a_viewers_task(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(HOT % "principal: viewer")
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], reached(engine)) == ("failed", 0)
    assert (await mine(engine, "step.refused", run["id"]))[0]["rule"] == "role.ceiling"
