"""Steps of runs as the policy sees them: to explain after the fact, and to show what decided."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from appliance.accounts.domain import Role, lower
from appliance.accounts.models import User
from appliance.actions.registry import registry
from appliance.lib.errors import MillwrightError
from appliance.runs.ceiling import ceiling_of
from appliance.runs.models import Run, Step
from appliance.runs.origins import also
from appliance.runs.plan import Phase
from appliance.runs.services import get, task_name
from appliance.safety.gate import Action
from appliance.safety.policy.facts import Classify, Facts, Static
from appliance.safety.understood import classify as classify_command
from appliance.tasks.definition.vocabulary import LATER_KINDS
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import definition_of


def known_kinds() -> frozenset[str]:
    """The kinds that a rule may name: those that exist, and those that the language keeps for later."""
    return LATER_KINDS | registry().keys()


class StepNotFound(MillwrightError):
    code = "runs.step.not_found"


@dataclass(frozen=True, slots=True)
class SeenStep:
    """A step that the gate decided on. ``decided`` is the rule that was recorded then, empty where none was."""

    step: str
    static: Static
    facts: Facts
    decided: str


def seen_steps(run_id: UUID, step: str = "", classify: Classify = classify_command) -> list[SeenStep]:
    """The steps of a run (or one of them), the last attempt of each. Raises RunNotFound, StepNotFound."""
    run = get(run_id)
    rows = Step.objects.filter(run_id=run_id).order_by("position", "attempt")
    latest = {row.step: row for row in (rows.filter(step=step) if step else rows)}
    if step and not latest:
        raise StepNotFound(f"run {run_id} has no step {step!r}")
    role, name = role_of(run), task_name(run)
    return [_seen(run, row, name, role, classify) for row in latest.values() if row.input is not None]


def role_of(run: Run) -> Role:
    """What the run may do now: by its task, by its caller, and by the person it acts for."""
    version = TaskVersion.objects.get(pk=run.version_id)
    ceiling = ceiling_of(definition_of(version), run.inputs)
    username = Action("", "", {}, run.principal).username
    if username is None:
        return ceiling
    person = User.objects.filter(username=username, is_active=True).first()
    return lower(ceiling, person.principal.role_on(task=task_name(run))) if person else Role.VIEWER


def _seen(run: Run, row: Step, task: str, role: Role, classify: Classify) -> SeenStep:
    arguments = row.input if isinstance(row.input, dict) else {}
    at = row.started_at or datetime.now(UTC)
    detail = row.detail if isinstance(row.detail, dict) else {}
    before = also(run.inputs, run.undo_by if row.phase == Phase.UNDO else "")
    return SeenStep(
        row.step,
        Static(row.kind, run.origin, task, run.principal, before),
        Facts(row.kind, arguments, role, at, classify),
        str(detail.get("gate", "")),
    )
