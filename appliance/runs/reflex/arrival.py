"""A batch of events of one broker, on its way into a commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from appliance.bus.services import TopicValue
from appliance.lib.jsontypes import JsonObject
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.intent import Intent
from appliance.runs.reflex.writer import WriteRuns
from appliance.tasks.ports import NewRun


@dataclass(slots=True, eq=False)
class Arrival:
    """A batch of events to commit: last values, runs launched here, and runs for the worker lane: those that are
    ``queued`` at once, and those of ``write``, which looks at other rows first.

    ``done`` gets the identifiers of the latter when everything is committed.
    """

    values: Sequence[TopicValue]
    launched: list[tuple[Flight, Intent | None]]
    write: WriteRuns | None
    counters: list[JsonObject]
    queued: Sequence[NewRun] = ()
    done: "asyncio.Future[Sequence[UUID]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def accept(self, run_ids: Sequence[UUID]) -> None:
        """It is committed."""
        if not self.done.done():
            self.done.set_result(run_ids)

    def refuse(self, error: Exception) -> None:
        """It cannot be, unless it is already: whoever brought it is told why."""
        if not self.done.done():
            self.done.set_exception(error)
