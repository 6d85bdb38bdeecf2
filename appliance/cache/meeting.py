"""What a write of the peer does here: nothing, take its place, or meet an edit of this box in a conflict.

Everything in one transaction under the lock of the key's row.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from appliance.cache import sql
from appliance.cache.domain import Choice, Decision, Direction, Write, alike, decide, rule_of
from appliance.cache.ports import Cursor
from appliance.cache.stamps import tick
from appliance.cache.store import (
    Agreed,
    Entry,
    PeerState,
    agree,
    decide_conflict,
    open_conflict,
    place,
    read_agreed,
    read_entry,
    text_of,
    touch,
    unpark,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Whose write it is, who we are, what time it is, and how far the peer's clock is ahead of ours."""

    peer: PeerState
    origin: str
    now: datetime
    skew: timedelta = timedelta()


def meet(cursor: Cursor, around: Surroundings, theirs: Write) -> None:
    """Let the peer's current write of a key count here. Doing it again changes nothing. Raises Moved."""
    key, peer = theirs.key, around.peer.id
    entry, agreed = read_entry(cursor, key, lock=True), read_agreed(cursor, peer, key)
    if agreed.sent and agreed.sent.stamp == theirs.stamp:
        agreed = Agreed(agreed.sent)
        agree(cursor, peer, key, agreed)
    if agreed.sent or (agreed.base and agreed.base.stamp == theirs.stamp):
        # What was sent is settled first: its answer brings the peer's current write along.
        return
    unpark(cursor, peer, key, Direction.IN)
    mine = entry.write if entry else None
    clean = mine is None or (agreed.base is not None and mine.stamp == agreed.base.stamp)
    if clean and agreed.base and mine and theirs.stamp < agreed.base.stamp:
        # Every successor has a later stamp: the peer lost history (an old backup), and gets it from here.
        agree(cursor, peer, key, Agreed(theirs))
        touch(cursor, key)
    elif mine is not None and mine.stamp == theirs.stamp:
        _settle(cursor, around, theirs)
    elif mine is None or clean or alike(rule_of(key, around.peer.rules), agreed.base, mine, theirs):
        place(cursor, theirs, entry)
        _settle(cursor, around, theirs)
    else:
        _conflict(cursor, around, entry, agreed.base, theirs)


def _settle(cursor: Cursor, around: Surroundings, theirs: Write) -> None:
    """Both have the same now: an open question about it is none any more."""
    agree(cursor, around.peer.id, theirs.key, Agreed(theirs))
    conflict = open_conflict(cursor, around.peer.id, theirs.key)
    if conflict is not None:
        decide_conflict(cursor, conflict, Choice.SAME, "sync", around.now)


def _conflict(
    cursor: Cursor, around: Surroundings, entry: Entry | None, base: Write | None, theirs: Write
) -> None:
    assert entry is not None
    mine, peer = entry.write, around.peer
    rule = rule_of(mine.key, peer.rules)
    waiting = open_conflict(cursor, peer.id, mine.key)
    if waiting is not None:
        both = {"mine": text_of(mine), "theirs": text_of(theirs)}
        cursor.execute(sql.REFRESH_CONFLICT, {"id": waiting, **both})
        return
    if rule is None:
        return
    decision = decide(rule, base, mine, theirs, skew=around.skew, now=around.now)
    said = {
        "peer": peer.id,
        "peer_name": peer.name,
        "key": mine.key,
        "base": text_of(base),
        "mine": text_of(mine),
        "theirs": text_of(theirs),
        "policy": rule.policy.value,
        "choice": decision.choice.value,
        "why": decision.why[:500],
        "now": around.now,
        "decided_at": None if decision.choice is Choice.ASK else around.now,
        "by": "" if decision.choice is Choice.ASK else "sync",
    }
    cursor.execute(sql.RECORD_CONFLICT, said)
    _carry_out(cursor, around, entry, theirs, decision)


def _carry_out(cursor: Cursor, around: Surroundings, entry: Entry, theirs: Write, decision: Decision) -> None:
    mine = entry.write
    match decision.choice:
        case Choice.THEIRS:
            place(cursor, theirs, entry)
        case Choice.MINE | Choice.MERGED:
            stamp = tick(around.now, around.origin, mine.stamp, theirs.stamp)
            stands = replace(mine, stamp=stamp)
            if decision.choice is Choice.MERGED:
                stands = replace(stands, value=decision.value, at=around.now, by="sync")
            place(cursor, stands, entry)
        case _:
            return
    agree(cursor, around.peer.id, mine.key, Agreed(theirs))
