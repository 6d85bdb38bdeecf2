"""``runs.list``: the last runs of this box."""

from typing import Annotated

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.models import Run
from appliance.tasks.models import Task


class RunsListArguments(Arguments):
    task: str = ""
    """Of this task only."""
    state: str = ""
    """In this state only: succeeded, failed, waiting, running, queued, cancelled."""
    most: Annotated[int, Field(ge=1, le=50)] = 10
    """How many."""


class RunsListTool(QueryTool[RunsListArguments]):
    name = "runs.list"
    says = "List the last runs: task, state, when, and why they failed."
    arguments = RunsListArguments
    example = {"state": "failed"}

    def answer(self, given: RunsListArguments, asking: Asking) -> JsonValue:
        names = dict(Task.objects.values_list("pk", "name"))
        seen = {pk: name for pk, name in names.items() if asking.by.can(Ability.VIEW, task=name)}
        runs = Run.whole.filter(task_id__in=[pk for pk, name in seen.items() if given.task in ("", name)])
        if given.state:
            runs = runs.filter(state=given.state)
        return [_row(run, seen[run.task_id]) for run in runs.order_by("-id")[: given.most]]


def _row(run: Run, task: str) -> JsonObject:
    ended = run.finished_at
    return {
        "run": str(run.pk),
        "task": task,
        "state": run.state,
        "reason": run.reason[:300],
        "warning": run.warning[:300],
        "began": f"{run.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "ended": f"{ended:%Y-%m-%dT%H:%M:%SZ}" if ended else None,
    }
