"""What tasks need of the layers above: somebody who starts runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from appliance.lib.jsontypes import JsonObject
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.models import OccurrenceState


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be created. ``id`` is computed by the caller where "exactly one" matters."""

    id: UUID
    task_id: int
    version_id: int
    definition: TaskDefinition
    principal: str
    origin: str
    trigger: str
    inputs: JsonObject
    reason: str
    also: tuple[str, ...] = ()
    """The origins of what led to it, by which the policy judges it besides its own."""
    occurrence_id: UUID | None = None
    parent_run_id: UUID | None = None
    forked_from: UUID | None = None
    forked_at_step: str = ""
    in_turn: bool = False
    """One of several that come one after another, whatever ``overlap`` says."""
    wanted_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of the wish to run: ``fired`` (at once, or when its turn comes), ``skipped`` or ``suppressed``.

    ``limited`` when the task's limit said no: such events are counted, and never a row each.
    """

    state: OccurrenceState
    reason: str = ""
    waits: bool = False
    limited: bool = False

    @property
    def runs(self) -> bool:
        return self.state is OccurrenceState.FIRED


RunStarter = Callable[[NewRun], Admission]
"""Writes the run, where it may run, in the current transaction of Django's connection."""
