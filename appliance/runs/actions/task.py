"""``task``: run another task and go on when it has ended."""

from datetime import timedelta
from uuid import UUID

from appliance.accounts.domain import Ability, Role
from appliance.accounts.present import principal_named
from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
)
from appliance.expressions import Tree
from appliance.expressions.fields import TreeField
from appliance.lib.identity import uuid_at
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.runs import ceiling, sql
from appliance.runs.admission import admit
from appliance.runs.admission_sql import HOLD_BACK
from appliance.runs.asking import answer_async
from appliance.runs.domain import FINAL, RunState
from appliance.runs.growing import ABOVE
from appliance.runs.services import HELD, run_parameters
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.ports import NewRun

DEEPEST = 8
"""How many tasks may call each other in a row."""

_CHILD = "SELECT state, reason FROM runs_run WHERE id = %s"
_CURRENT = """
SELECT t.id, v.id, v.definition, t.held, t.enabled FROM tasks_task t JOIN tasks_taskversion v ON v.id = t.current_id
WHERE t.name = %s
"""
_LOOK_AGAIN = timedelta(seconds=30)


class TaskParams(Params):
    task: str
    """The name of the task to run."""
    vars: TreeField = Tree({})
    """Values for its ``vars``."""
    wait: bool = True
    """Whether this step ends when that run ends; false: as soon as it is queued."""


class TaskAction(ActionKind[TaskParams]):
    name = "task"
    params = TaskParams
    default_timeout = timedelta(days=7).total_seconds()

    def effect(self, params: TaskParams) -> EffectClass:
        return EffectClass.KEYED

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        child = uuid_at(context.run_started_at, "child", context.key, str(context.attempt))
        if not context.resumed_from:
            refused = await _not_theirs(arguments, context) or await self._start(arguments, context, child)
            if refused:
                return StepResult.failed(refused, retryable=False)
            if not arguments["wait"]:
                return StepResult.ok({"run": str(child)})
        async with context.connect() as connection:
            cursor = await connection.execute(_CHILD, (child,))
            row = await cursor.fetchone()
        if row is None or RunState(row[0]) not in FINAL:
            return StepResult(
                Status.WAITING,
                wake_at=context.now + _LOOK_AGAIN,
                waiting_for="timer",
                checkpoint={"child": str(child)},
            )
        if row[0] == RunState.SUCCEEDED:
            return StepResult.ok({"run": str(child)}, run=str(child))
        return StepResult.failed(f"task {arguments['task']} {row[0]}: {row[1]}", run=str(child))

    async def _start(self, arguments: JsonObject, context: StepContext, child: UUID) -> str:
        """Queue the child under its computed id: a second start of the same step changes nothing."""
        depth = context.depth + 1
        if depth > DEEPEST:
            return f"tasks call each other more than {DEEPEST} deep"
        async with context.connect() as connection:
            cursor = await connection.execute(_CURRENT, (arguments["task"],))
            row = await cursor.fetchone()
            if row is None:
                return f"there is no task {arguments['task']!r}"
            known = await connection.execute(_CHILD, (child,))
            if await known.fetchone() is not None:
                return ""
            if row[3]:
                return f"task {arguments['task']} does not run now: {HELD}"
            if "task" in context.chosen and not row[4]:
                # By a person's own hand alone, and by no program in their name.
                return f"refused: the task {arguments['task']!r} is switched off"
            new = NewRun(
                id=child,
                task_id=row[0],
                version_id=row[1],
                definition=TaskDefinition.from_canonical(row[2]),
                principal=context.principal,
                origin="task",
                also=context.origins,
                trigger=context.task_name,
                inputs={
                    "vars": arguments.get("vars") or {},
                    "depth": depth,
                    "chain": context.chain,
                    ceiling.KEY: context.ceiling,
                    **({ABOVE: [*context.above]} if context.above else {}),
                },
                reason=f"called by {context.task_name}, step {context.step_id}",
                parent_run_id=context.run_id if arguments["wait"] else None,
                wanted_at=context.now,
            )
            (admission,) = await answer_async(connection, admit([new]))
            if not admission.runs:
                return f"task {arguments['task']} does not run now: {admission.reason}"
            await connection.execute(sql.INSERT_RUN, run_parameters(new, context.now))
            if admission.waits:
                await connection.execute(HOLD_BACK, {"id": child})
        return ""


async def _not_theirs(arguments: JsonObject, context: StepContext) -> str:
    """Why whoever the run acts for may not start a task that a model has chosen; what an author wrote is no such."""
    if "task" not in context.chosen:
        return ""
    by = await in_django(principal_named, context.principal, Role(context.ceiling))
    name = str(arguments["task"])
    if by is not None and by.can(Ability.RUN_TASKS, task=name):
        return ""
    return f"refused: {context.principal} may not run the task {name!r}"
