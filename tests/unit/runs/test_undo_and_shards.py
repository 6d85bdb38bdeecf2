"""What shards did is taken back with the step around them, and a shard's own failure is a failure."""

from datetime import UTC, datetime
from uuid import UUID

from appliance.actions.contract import EffectClass
from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import RunState, StepState
from appliance.runs.ending import ending_of
from appliance.runs.plan import Next, Phase, Progress, StepRow, next_step, replay
from appliance.runs.rows import RunRow
from appliance.runs.shards.body import own_definition
from appliance.runs.taking_back import undoable
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.task import define

AT = datetime(2026, 1, 1, tzinfo=UTC)
OPEN: JsonObject = {"id": "open", "type": "shell", "args": ["/opt/open", "{{ item }}"]}
CLOSE: JsonObject = {"type": "shell", "args": ["/opt/closeall"]}
LOOK: JsonObject = {"id": "look", "type": "set", "value": "{{ item }}"}


def task(body: JsonObject, **keys: object) -> TaskDefinition:
    valves: JsonObject = {"id": "valves", "type": "foreach", "items": [1, 2, 3], "actions": [body], **keys}  # type: ignore[dict-item]
    pump: JsonObject = {"id": "pump", "type": "shell", "args": ["/opt/pump"], "undo": CLOSE}
    made, issues = define({"name": "t", "trigger": "manual", "actions": [pump, valves], "on_failure": "undo"})
    assert made is not None, issues
    return made


def row(step: str, position: int, effect: EffectClass, state: StepState, error: str = "") -> StepRow:
    return StepRow(
        step=step,
        attempt=1,
        position=position,
        phase=Phase.ACTIONS,
        effect=effect,
        state=state,
        output=None,
        stderr="",
        error=error,
        checkpoint=None,
        due_at=None,
    )


def rows(failed: StepState = StepState.FAILED) -> list[StepRow]:
    return [
        row("pump", 0, EffectClass.UNSAFE, StepState.SUCCEEDED),
        row("valves", 1, EffectClass.PURE, failed, "1 of 3 did not succeed"),
    ]


def test_a_failed_step_whose_shards_may_have_acted_is_taken_back_first() -> None:
    made = task(OPEN, undo=CLOSE)
    following = next_step(made, replay(made, rows()))
    assert isinstance(following, Next)
    assert following.spec.id == "valves.undo"
    assert undoable(made, rows()) == ("valves", "pump")


def test_shards_that_only_compute_leave_nothing_to_take_back() -> None:
    made = task(LOOK, undo=CLOSE)
    following = next_step(made, replay(made, rows()))
    assert isinstance(following, Next)
    assert following.spec.id == "pump.undo"


def test_what_shards_did_and_nobody_takes_back_is_named() -> None:
    made = task(OPEN)
    progress = replay(made, [*rows(), row("pump.undo", 2, EffectClass.UNSAFE, StepState.SUCCEEDED)])
    ending = ending_of(made, progress)
    assert ending.state is RunState.UNDONE
    assert ending.not_undone == ("valves: not undone, it has no undo",)


def shard_row(inputs: JsonObject) -> RunRow:
    nobody = UUID(int=0)
    return RunRow(
        nobody, 1, 1, "console", "manual", "", 1, inputs, None, False, False, 1, 0, nobody, "", AT, "", nobody
    )


def test_a_shard_that_fails_has_failed_and_is_not_called_undone() -> None:
    whole = task(OPEN, undo=CLOSE)
    assert whole.undo_steps
    own = own_definition(whole, shard_row({"shard": {"step": "valves"}, "item": 1}))
    progress = Progress(failure="step open: exit 1", failed_step="open")
    assert own.undo_steps == ()
    assert ending_of(own, progress).state is RunState.FAILED
