"""What became of a run's messages: to whom each goes or went, how far it is, and the proof."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from appliance.lib.jsontypes import JsonObject
from appliance.outbox.models import OutboxRow
from appliance.outbox.services import of_run


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One message. ``to`` is empty where the platform's own conversation is meant and not known yet; ``next_at`` is
    None for at once. ``message_ids`` are the platform's, of what it confirmed; ``note`` is what is to be known of that.
    ``repeat_possible``: people may see it twice, because an answer was lost."""

    id: UUID
    step: str
    platform: str
    to: str
    state: str
    reason: str
    note: str
    attempts: int
    repeat_possible: bool
    message_ids: tuple[str, ...]
    created_at: datetime
    next_at: datetime | None
    expires_at: datetime
    delivered_at: datetime | None
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it is still on its way."""
        return self.finished_at is None

    def to_json(self) -> JsonObject:
        return {
            "id": str(self.id),
            "step": self.step,
            "platform": self.platform,
            "to": self.to,
            "state": self.state,
            "reason": self.reason,
            "note": self.note,
            "attempts": self.attempts,
            "repeat_possible": self.repeat_possible,
            "message_ids": list(self.message_ids),
            "created_at": self.created_at.isoformat(),
            "next_at": self.next_at.isoformat() if self.next_at else None,
            "expires_at": self.expires_at.isoformat(),
            "delivered_at": self.delivered_at.isoformat() if self.delivered_at else None,
        }


def deliveries_of(run_id: UUID) -> list[DeliveryView]:
    """In the order in which they were written: one query."""
    return [_view(row) for row in of_run(run_id)]


def by_step(found: Iterable[DeliveryView]) -> dict[str, list[DeliveryView]]:
    grouped: dict[str, list[DeliveryView]] = {}
    for one in found:
        grouped.setdefault(one.step, []).append(one)
    return grouped


def _view(row: OutboxRow) -> DeliveryView:
    receipt = row.receipt if isinstance(row.receipt, dict) else {}
    note = str(receipt.get("note") or "")
    at = receipt.get("at")
    return DeliveryView(
        id=row.pk,
        step=row.step_id,
        platform=row.platform,
        to=str(receipt.get("conversation") or row.conversation or ""),
        state=row.state,
        reason="" if row.reason == note else row.reason,
        note=note,
        attempts=row.attempts,
        repeat_possible=row.repeat_possible,
        message_ids=tuple(str(one) for one in receipt.get("message_ids") or ()),
        created_at=row.created_at,
        next_at=row.next_at,
        expires_at=row.expires_at,
        delivered_at=datetime.fromisoformat(at) if isinstance(at, str) else None,
        finished_at=row.finished_at,
    )
