"""Kept values, conflicts, parked items and peers to look at, and as plain documents."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet

from appliance.cache.domain import CLOCKS_APART
from appliance.cache.exchange import waiting_for
from appliance.cache.models import CacheConflict, CacheEntry, CacheParked, CachePeer
from appliance.cache.store import Entry


@dataclass(frozen=True, slots=True)
class PeerNow:
    """A peer, how many writes it has not been offered (``most`` at most), and what waits for a person."""

    row: CachePeer
    behind: int

    @property
    def apart(self) -> int:
        """Seconds between the clocks, where that is too much to trust them; else 0."""
        skew = timedelta(milliseconds=abs(self.row.skew_ms))
        return round(skew.total_seconds()) if skew > CLOCKS_APART else 0


def entries(prefix: str = "") -> QuerySet[CacheEntry]:
    """Values by key, without removed ones."""
    rows = CacheEntry.objects.filter(deleted=False).order_by("key")
    return rows.filter(key__startswith=prefix) if prefix else rows


def conflicts(*, only_open: bool = False) -> QuerySet[CacheConflict]:
    """Open ones first, then the newest."""
    rows = CacheConflict.objects.order_by(F("decided_at").desc(nulls_first=True), "-id")
    return rows.filter(decided_at__isnull=True) if only_open else rows


def parked() -> QuerySet[CacheParked]:
    return CacheParked.objects.select_related("peer").order_by("-id")


def peers() -> list[PeerNow]:
    rows = CachePeer.objects.prefetch_related("rules").order_by("name")
    return [PeerNow(row, waiting_for(row)) for row in rows]


def plain_entry(row: CacheEntry) -> dict[str, Any]:
    return {
        "key": row.key,
        "version": row.version,
        "origin": row.origin,
        "at": row.updated_at.isoformat(),
        "by": row.updated_by,
        "value": row.value,
    }


def plain_write(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.write.key,
        "version": entry.version,
        "origin": entry.write.stamp.origin,
        "stamp": str(entry.write.stamp),
        "at": entry.write.at.isoformat(),
        "by": entry.write.by,
        "value": entry.write.value,
    }


def plain_conflict(row: CacheConflict) -> dict[str, Any]:
    return {
        "conflict": row.pk,
        "key": row.key,
        "state": "decided" if row.decided_at else "open",
        "peer": row.peer_name,
        "policy": row.policy,
        "choice": row.choice,
        "why": row.why,
        "by": row.decided_by,
        "base": row.base and row.base["value"],
        "mine": row.mine["value"],
        "theirs": row.theirs["value"],
        "at": row.opened_at.isoformat(),
    }


def plain_parked(row: CacheParked) -> dict[str, Any]:
    return {
        "item": row.pk,
        "key": row.key,
        "peer": row.peer.name,
        "direction": row.direction,
        "reason": row.reason,
        "at": row.at.isoformat(),
        "document": row.document,
    }


def plain_peer(state: PeerNow) -> dict[str, Any]:
    row = state.row
    return {
        "peer": row.name,
        "url": row.url,
        "enabled": row.enabled,
        "box": row.box,
        "behind": state.behind,
        "last_contact": row.last_contact.isoformat() if row.last_contact else None,
        "error": row.last_error,
        "skew_ms": row.skew_ms,
        "shares": [f"{rule.prefix}={rule.policy}" for rule in row.rules.all()],
    }
