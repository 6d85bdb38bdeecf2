"""How long a step may still act (``valid_for``): counted from when its first attempt was to act. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from appliance.actions.targets import TargetParams
from appliance.lib.duration import format_duration
from appliance.runs.domain import StepState
from appliance.runs.plan import Progress
from appliance.runs.walk import Pause
from appliance.tasks.definition import StepSpec


def waits_at_most(spec: StepSpec) -> timedelta | None:
    """What the step's author allows; None without a limit."""
    return spec.params.valid_for if isinstance(spec.params, TargetParams) else None


def valid_until(spec: StepSpec, progress: Progress) -> datetime | None:
    """Until when it may act; None without a limit, and while it has not been to act yet."""
    length, wanted = waits_at_most(spec), progress.first_wanted.get(spec.id)
    return wanted + length if length is not None and wanted is not None else None


def is_too_late(spec: StepSpec, progress: Progress, now: datetime) -> bool:
    until = valid_until(spec, progress)
    return until is not None and now >= until


def too_late(spec: StepSpec, progress: Progress) -> str:
    """Why it is not done any more."""
    length, wanted = waits_at_most(spec) or timedelta(), progress.first_wanted[spec.id]
    since = wanted.astimezone(UTC).isoformat(" ", "seconds")
    last = progress.latest.get(spec.id)
    held_up = f"; {last.error}" if last is not None and last.error else ""
    if last is not None and last.state is StepState.INTENT:
        held_up = "; it was under way when its worker stopped, and may have acted"
    return f"too late: it was to act at {since}, and is valid for {format_duration(length)}{held_up}"


def not_beyond(pause: Pause, until: datetime | None) -> Pause:
    """Nobody waits longer than what comes then may still be done."""
    if until is None:
        return pause
    return replace(pause, wake_at=min(pause.wake_at or until, until))
