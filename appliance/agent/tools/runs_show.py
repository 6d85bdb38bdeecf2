"""``runs.show``: one run with its steps."""

from uuid import UUID

from appliance.accounts.domain import Ability
from appliance.agent.errors import QueryRefused
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.models import Step
from appliance.runs.services import get_for, task_name

MOST_STEPS = 40
LONGEST = 1000


class RunsShowArguments(Arguments):
    run: str
    """The run's whole number, as runs.list gives it."""


class RunsShowTool(QueryTool[RunsShowArguments]):
    name = "runs.show"
    says = "Show one run: each step with what it gave and why it failed."
    arguments = RunsShowArguments
    example = {"run": "0199f3a2-7c1e-7d40-8b3f-2f6a1c9e4d55"}

    def answer(self, given: RunsShowArguments, asking: Asking) -> JsonValue:
        try:
            run_id = UUID(given.run)
        except ValueError as error:
            raise QueryRefused(f"{given.run[:60]!r} is no run's number") from error
        run = get_for(run_id, asking.by, Ability.VIEW)
        steps = Step.objects.filter(run_id=run_id).order_by("position", "attempt")[:MOST_STEPS]
        return {
            "run": str(run.pk),
            "task": task_name(run),
            "state": run.state,
            "reason": run.reason,
            "warning": run.warning,
            "steps": [_row(step) for step in steps],
        }


def _row(step: Step) -> JsonObject:
    return {
        "step": step.step,
        "kind": step.kind,
        "state": step.state,
        "error": step.error[:LONGEST],
        "output": str(step.output)[:LONGEST] if step.output is not None else None,
    }
