"""One round of sync with a peer: settle what was sent, take what changed there, offer what changed here.

A crash between any two steps leaves rows from which the next round goes on, and every step may be repeated.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

from appliance.cache import sql
from appliance.cache.domain import LONGEST_KEY, Direction, Write, rule_of
from appliance.cache.errors import CacheRefused
from appliance.cache.meeting import meet
from appliance.cache.offering import Offering, Summary
from appliance.cache.ports import Cursor
from appliance.cache.store import (
    START,
    Entry,
    PeerState,
    agree,
    journal_after,
    open_conflict,
    read_agreed,
    read_peer,
    text_of,
    unanswered,
)
from appliance.cache.wire import read_document
from appliance.events.journal import Cursor as Position
from appliance.events.journal import CursorInvalid
from appliance.lib.plain import plain_text

PAGE = 100
MOST_PAGES = 1000
"""Of one round; the next one goes on."""


class Round(Offering):
    """One round; ``run`` may be called once."""

    def run(self) -> Summary:
        """Raises PeerAway, PeerRefused; what was done until then is kept."""
        state = self._state()
        if state and state.rules:
            self.skew = state.skew
            self._settle(state)
            self._pull(state)
            self._push(state)
        return self.summary

    def _state(self) -> PeerState | None:
        with self.begin() as cursor:
            return read_peer(cursor, self.peer_id)

    # --- what was sent and has no answer

    def _settle(self, state: PeerState) -> None:
        for _ in range(MOST_PAGES):
            with self.begin() as cursor:
                waiting = unanswered(cursor, state.id, PAGE)
            if not waiting or not self.offer(state, waiting):
                return

    # --- what changed there

    def _pull(self, state: PeerState) -> None:
        position = state.pull_cursor
        for _ in range(MOST_PAGES):
            asked_at = self.clock.now()
            page = self.peer.changes(position, state.prefixes, PAGE)
            self._heard(page.box, page.now, asked_at)
            for raw in page.documents:
                self._take(state, raw)
            with self.begin() as cursor:
                cursor.execute(sql.PULLED, {"peer": state.id, "cursor": page.cursor, "was": position})
            if not page.more or page.cursor == position:
                return
            position = page.cursor

    def _heard(self, box: str, theirs: datetime, asked_at: datetime) -> None:
        """The peer's clock is compared with the middle of the call."""
        now = self.clock.now()
        self.skew = theirs - (asked_at + (now - asked_at) / 2)
        milliseconds = self.skew // timedelta(milliseconds=1)
        with self.begin() as cursor:
            cursor.execute(sql.HEARD, {"peer": self.peer_id, "box": box, "skew": milliseconds, "now": now})

    def _take(self, state: PeerState, raw: object) -> None:
        try:
            theirs = read_document(raw)
        except CacheRefused as error:
            self.park(state, _key_of(raw), Direction.IN, json.dumps(raw)[:100_000], error.message)
            return
        if rule_of(theirs.key, state.rules) is None:
            return
        self.repeat(lambda cursor: meet(cursor, self.around(state), theirs))
        self.summary.pulled += 1

    # --- what changed here

    def _push(self, state: PeerState) -> None:
        text, more = state.push_cursor, True
        for _ in range(MOST_PAGES):
            if not more:
                return
            with self.begin() as cursor:
                entries, position, more = journal_after(cursor, _parse(text), state.prefixes, PAGE)
                writes = [one for entry in entries if (one := self._to_send(cursor, state, entry))]
            self.offer(state, writes)
            with self.begin() as cursor:
                cursor.execute(sql.PUSHED, {"peer": state.id, "cursor": str(position), "was": text})
            text = str(position)

    def _to_send(self, cursor: Cursor, state: PeerState, entry: Entry) -> Write | None:
        """The write to offer, marked as sent in the same transaction; None where there is nothing to do."""
        key = entry.write.key
        agreed = read_agreed(cursor, state.id, key)
        if agreed.sent:
            return agreed.sent
        if agreed.base and agreed.base.stamp == entry.write.stamp:
            return None
        waiting = open_conflict(cursor, state.id, key)
        if waiting is not None:
            mine = {"id": waiting, "mine": text_of(entry.write), "theirs": None}
            cursor.execute(sql.REFRESH_CONFLICT, mine)
            return None
        agree(cursor, state.id, key, replace(agreed, sent=entry.write))
        return entry.write


def _parse(text: str) -> Position:
    try:
        return Position.parse(text) if text else START
    except CursorInvalid:
        return START


def _key_of(raw: object) -> str:
    """The key that an unreadable document is parked under: its own if it says one."""
    key = raw.get("key") if isinstance(raw, dict) else None
    if isinstance(key, str) and key.strip() and plain_text(key) == key and len(key) <= LONGEST_KEY:
        return key
    return f"?{hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:16]}"
