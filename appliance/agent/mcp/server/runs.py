"""A call of a task: its run, begun once, and what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import McpRefused
from appliance.agent.fitting import no_such_argument
from appliance.agent.loop.outside import bounded
from appliance.agent.mcp.server.offering import TaskTool, schema_of
from appliance.lib.digest import sha256_hex
from appliance.lib.json_schema import misfit, place_of
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_object
from appliance.runs.domain import FINAL, RunState, StepState
from appliance.runs.models import Run, Step
from appliance.runs.services import get, start_task, task_name
from appliance.safety.approvals.services import open_ones
from appliance.safety.policy.vocabulary import Origin

MOST_STEPS = 40
MOST_INSIDE = 200
"""Runs inside of a run that are looked at for open questions."""
LONGEST = 4_000
"""Characters of one output."""

Once = Callable[[str, str, datetime, Callable[[], JsonObject]], JsonObject]
"""Do something under a name, with the digest of what it is: the same again gives the same, and does nothing.

Raises McpRefused where another thing had that name, and what the work raises."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. ``key`` names this very call for ever; empty where nothing does."""

    by: Principal
    token_id: int
    key: str = ""


def begin(tool: TaskTool, given: JsonObject, caller: Caller, now: datetime, once: Once) -> UUID:
    """Start the task's run under the caller's own name. Raises McpRefused and what ``start_task`` raises."""
    clean = plain_object(given)
    _check(tool, clean)

    def start() -> JsonObject:
        run_id = start_task(
            tool.definition.name,
            caller.by,
            now,
            inputs={"vars": clean, "event": {"type": "mcp", "tool": tool.name}},
            origin=Origin.MCP,
            trigger=str(tool.trigger.id),
            reason=f"{caller.by.name} called {tool.name}",
        )
        return {"run": str(run_id)}

    if not caller.key:
        return UUID(str(start()["run"]))
    digest = sha256_hex([tool.name, clean])
    return UUID(str(once(f"mcp/{caller.token_id}/{sha256_hex(caller.key)}", digest, now, start)["run"]))


def _check(tool: TaskTool, given: JsonObject) -> None:
    """Raises McpRefused where it does not fit the task's ``vars``."""
    takes = tuple(tool.definition.vars)
    unknown = next((name for name in given if name not in takes), None)
    if unknown is not None:
        message, hint = no_such_argument(unknown, takes)
        raise McpRefused(message, hint=hint)
    wrong = misfit(schema_of(tool.definition), given)
    if wrong is not None:
        raise McpRefused(f"{place_of(wrong)}: {wrong.message[:300]}")


@dataclass(frozen=True, slots=True)
class Told:
    """How a run is. ``done`` steps of it are at their end."""

    ended: bool
    failed: bool
    done: int
    line: str
    body: JsonObject


def told(run_id: UUID, by: Principal, now: datetime) -> Told:
    """Outputs and questions are for who may look at runs of its task; the others learn its state alone."""
    run = get(run_id)
    name, ended = task_name(run), RunState(run.state) in FINAL
    body: JsonObject = {"run": str(run_id), "task": name, "state": run.state}
    line, done = run.state, 0
    if run.waiting_for:
        body["waiting_for"] = run.waiting_for
        line = f"waiting: {run.waiting_for}"
    if not ended:
        body["ask_again"] = "runs.show"
    if by.can(Ability.VIEW, task=name):
        steps = list(Step.objects.filter(run_id=run_id).order_by("position", "attempt")[:MOST_STEPS])
        done = sum(one.finished_at is not None for one in steps)
        body |= {"reason": run.reason[:500], "warning": run.warning[:500], "outputs": _outputs(steps)}
        if questions := [] if ended else _questions(run, now):
            body["approvals"] = questions
    failed = ended and run.state != RunState.SUCCEEDED
    return Told(ended, failed, done, line, {key: value for key, value in body.items() if value != ""})


def _outputs(steps: list[Step]) -> JsonObject:
    ended = (StepState.SUCCEEDED, StepState.HANDED_OVER)
    return {one.step: _short(one.output) for one in steps if one.state in ended and one.output is not None}


def _short(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return bounded(value, LONGEST)
    text = str(value)
    return value if len(text) <= LONGEST else bounded(text, LONGEST)


def _questions(run: Run, now: datetime) -> list[JsonValue]:
    """The open approvals of the run and of those inside of it."""
    within, level = [run.pk], [run.pk]
    while level and len(within) < MOST_INSIDE:
        level = list(Run.objects.filter(parent_run_id__in=level).values_list("pk", flat=True)[:MOST_INSIDE])
        within += level
    return [
        {
            "code": row.code,
            "asks": bounded(row.shown, LONGEST),
            "until": f"{row.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }
        for row in open_ones(now, within)
    ]


def run_number(given: JsonValue) -> UUID:
    """Raises McpRefused."""
    try:
        return UUID(str(given))
    except ValueError as error:
        raise McpRefused(f"{str(given)[:60]!r} is no run's number") from error
