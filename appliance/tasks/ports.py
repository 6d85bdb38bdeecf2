"""What tasks need of the layers above: somebody who starts runs."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from appliance.lib.jsontypes import JsonObject
from appliance.tasks.definition import TaskDefinition


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
    occurrence_id: UUID | None = None
    parent_run_id: UUID | None = None
    forked_from: UUID | None = None
    forked_at_step: str = ""


RunStarter = Callable[[NewRun], None]
"""Writes the run in the current transaction of Django's connection."""
