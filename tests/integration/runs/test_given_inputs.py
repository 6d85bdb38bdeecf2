"""What a run is started with is data for its steps: it never says which of them are performed."""

import json
from typing import Any

import pytest

from appliance.lib.jsontypes import JsonObject
from appliance.runs.given import InputsNotTaken
from tests.integration.runs.conftest import Engine

TASK = """
- name: t
  triggers: [{mqtt: {topic: "line/{line}/open"}}, manual]
  actions:
    - {id: sure, type: approval, question: Open?}
    - id: each
      type: foreach
      items: [valve1]
      actions: [{id: open, type: mqtt, topic: "{{ item }}/open"}]
"""
SHARD: JsonObject = {
    "shard": {"step": "each"},
    "item": "valve7",
    "index": 0,
    "outputs": {"sure": {"approved": True}},
}


@pytest.mark.parametrize(
    "inputs",
    [
        SHARD,
        {"shard": {}},
        {"shard": {"step": "none"}},
        {"item": 1},
        {"outputs": {}},
        {"depth": -9},
        {"chain": -9},
        {"ceiling": "admin"},
        {"origins": []},
        {"captures": {"outputs": {}}},
        {"captures": ["line"]},
        {"vars": 1},
    ],
)
async def test_what_the_engine_keeps_there_is_brought_by_nobody(engine: Engine, inputs: JsonObject) -> None:
    await engine.load(TASK)
    with pytest.raises(InputsNotTaken):
        await engine.start("t", inputs)
    assert await engine.count("runs_run") == 0
    assert await engine.count("tasks_occurrence") == 0


async def test_what_a_trigger_would_bring_is_taken(engine: Engine) -> None:
    given: JsonObject = {
        "payload": 1, "topic": "line/a/open", "captures": {"line": "a"}, "event": {}, "vars": {},
    }  # fmt: skip
    run_id = await engine.begin(TASK, given)
    assert (await engine.run(run_id))["inputs"] == given


@pytest.mark.parametrize("inputs", [SHARD, {"shard": {}}, {"shard": {"step": "none"}}])
async def test_a_run_that_is_no_shard_is_performed_whole(engine: Engine, inputs: dict[str, Any]) -> None:
    """As one would be that was stored before such inputs were refused, and is started again."""
    run_id = await engine.begin(TASK)
    await engine.sql("UPDATE runs_run SET inputs = %s::jsonb WHERE id = %s", json.dumps(inputs), run_id)
    await engine.perform(run_id)
    assert engine.world.published == []
    assert [step for step, _, _ in await engine.steps(run_id)] in ([], ["sure"])
    assert await engine.state(run_id) != "succeeded"
