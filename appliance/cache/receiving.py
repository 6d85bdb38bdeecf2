"""The answering side of sync: what changed here, and taking what another box offers by compare-and-set.

It decides nothing: a write whose base is not the current one is answered with the current one, and the box that
offered it decides.
"""

from collections.abc import Sequence
from datetime import datetime

from appliance.cache import sql
from appliance.cache.domain import Write
from appliance.cache.errors import CacheRefused, Moved
from appliance.cache.ports import Cursor, Transaction
from appliance.cache.stamps import Stamp
from appliance.cache.store import START, Entry, journal_after, place, read_entry
from appliance.cache.wire import Answer, Answers, Changes, document_of, identity_of, read_message
from appliance.events.journal import Cursor as Position

MOST = 200
"""Messages of one call, and documents of one page."""
_TRIES = 5


def changes(
    begin: Transaction, box: str, now: datetime, after: str, prefixes: Sequence[str], limit: int
) -> Changes:
    """A page of the journal for another box. Raises CursorInvalid for a position that is none."""
    start = Position.parse(after) if after else START
    with begin() as cursor:
        entries, position, more = journal_after(cursor, start, prefixes, min(limit, MOST))
    documents = [document_of(entry.write) for entry in entries]
    return Changes(box=box, now=now, cursor=str(position), more=more, documents=documents)


def receive(begin: Transaction, box: str, now: datetime, messages: Sequence[object]) -> Answers:
    """Take each message by itself, in order. Raises CacheRefused for too many of them."""
    if len(messages) > MOST:
        raise CacheRefused(f"{len(messages)} messages in one call; {MOST} are taken")
    return Answers(box=box, now=now, answers=[_take(begin, now, raw) for raw in messages])


def _take(begin: Transaction, now: datetime, raw: object) -> Answer:
    try:
        identity, write, base = read_message(raw)
    except CacheRefused as error:
        return Answer(id=identity_of(raw), outcome="refused", reason=error.message)
    for _ in range(_TRIES):
        try:
            with begin() as cursor:
                answer = _compare_and_set(cursor, now, identity, write, base)
        except Moved:
            continue
        return answer
    return Answer(id=identity, outcome="refused", reason="the key is written all the time")


def _compare_and_set(
    cursor: Cursor, now: datetime, identity: str, write: Write, base: Stamp | None
) -> Answer:
    entry = read_entry(cursor, write.key, lock=True)
    cursor.execute(sql.TAKEN, {"id": identity})
    taken = cursor.fetchone() is not None
    # What was built on it is later than it; an earlier value says that it was lost here (an old backup).
    if entry and (entry.write.stamp == write.stamp or (taken and entry.write.stamp > write.stamp)):
        return _answer(identity, "accepted", entry)
    # Nothing here at all although the sender knows a base: it was lost here, and comes back with this.
    if entry is not None and entry.write.stamp != base:
        return _answer(identity, "conflict", entry)
    place(cursor, write, entry)
    cursor.execute(sql.TAKE, {"id": identity, "now": now})
    return Answer(id=identity, outcome="accepted", current=document_of(write))


def _answer(identity: str, outcome: str, entry: Entry | None) -> Answer:
    current = document_of(entry.write) if entry else None
    return Answer.model_validate({"id": identity, "outcome": outcome, "current": current})
