"""A split: one step of a run that is done as shards. What its row says, and the identifiers that follow from it."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from appliance.lib.identity import time_of, uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import ShardOf


def split_id(run_id: UUID, step: str, attempt: int) -> UUID:
    """The one split of this attempt; it carries the time of its run."""
    return uuid_at(time_of(run_id), "split", str(run_id), step, str(attempt))


def shard_id(split: UUID, shard: int) -> UUID:
    """The one run of this shard: to insert it twice changes nothing, to find it needs no index."""
    return uuid_at(time_of(split), "shard", str(split), str(shard))


@dataclass(frozen=True, slots=True)
class Split:
    """``admitted`` shards have had their turn; ``total`` is None until the last one is a row.

    ``taken`` of them were done by the run ``taken_from`` already, which this one goes on from.
    """

    id: UUID
    run_id: UUID
    step: str
    attempt: int
    join_policy: str
    join_number: int
    parallelism: int
    context: JsonObject
    source: JsonObject
    shard_deadline: datetime | None
    due_at: datetime | None
    bytes: int
    expanded: int
    total: int | None
    admitted: int
    succeeded: int
    failed: int
    cancelled: int
    outcome: str
    reason: str
    closed_at: datetime | None
    taken_from: UUID | None
    taken: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    @property
    def shard_of(self) -> ShardOf:
        """Where its shards are counted."""
        return ShardOf(self.id, self.run_id)

    @property
    def counts(self) -> JsonObject:
        return {
            "total": self.total if self.total is not None else self.expanded,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "cancelled": self.cancelled,
        }
