"""What the engine would take back of what agents did: the engine itself is asked, so that nothing else is offered."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from appliance.actions.contract import EffectClass
from appliance.agent.explaining.rows import AgentRows, StepSeenRow, WaysBack
from appliance.runs.domain import FINAL, RunState, StepState
from appliance.runs.ended import definition_in
from appliance.runs.fork import ForkRefused
from appliance.runs.growing import ASKED
from appliance.runs.plan import Phase, StepRow
from appliance.runs.taking_back import going_on, takes_back
from appliance.tasks.definition.bodies import step_named
from appliance.tasks.models import TaskVersion


def with_ways_back(found: Sequence[AgentRows]) -> list[AgentRows]:
    """Two queries for all of them, and none where nothing of what they did could be taken back."""
    over = [one for one in found if _is_over(one)]
    may = [one for one in over if _has_ways(one)]
    versions = TaskVersion.objects.in_bulk({one.own.version_id for one in may}) if may else {}
    after = going_on([one.task_run.pk for one in may]) if may else {}
    backs = {one.own.pk: WaysBack(frozenset()) for one in over}
    backs |= {one.own.pk: _back(one, versions.get(one.own.version_id), after) for one in may}
    return [replace(one, back=backs.get(one.own.pk)) for one in found]


def _is_over(one: AgentRows) -> bool:
    return RunState(one.own.state) in FINAL and RunState(one.task_run.state) in FINAL


def _has_ways(one: AgentRows) -> bool:
    asked = one.own.inputs.get(ASKED)
    return isinstance(asked, dict) and bool(asked.get("undo"))


def _back(one: AgentRows, version: TaskVersion | None, after: dict[UUID, UUID]) -> WaysBack:
    """Nothing where the version that it was started with cannot be read: then the engine refuses too."""
    try:
        definition = definition_in(version)
    except ForkRefused:
        return WaysBack(frozenset())
    around = step_named((*definition.actions, *definition.on_failure), one.step)
    return WaysBack(
        frozenset(takes_back(definition, one.own, [_row(row) for row in one.steps])),
        safe_state=around is not None and around.safe_state,
        goes_on=after.get(one.task_run.pk),
    )


def _row(row: StepSeenRow) -> StepRow:
    """As the engine reads it. Of what a call gave only the beginning is here, which decides nothing."""
    return StepRow(
        row.step, row.attempt, 0, Phase(row.phase), EffectClass(row.effect), StepState(row.state), row.output,
        row.stderr, row.error, None, row.finished_at if row.due else None, row.shared_from,
    )  # fmt: skip
