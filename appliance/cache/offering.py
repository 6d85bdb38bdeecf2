"""Offering writes to the peer, and what its answers do. A message without an answer is repeated as it was."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from appliance.cache.domain import Direction, Write
from appliance.cache.errors import CacheRefused, MessageRefused, Moved, PeerAway, PeerFailed
from appliance.cache.meeting import Surroundings, meet
from appliance.cache.ports import Cursor, Peer, Transaction
from appliance.cache.store import (
    Agreed,
    PeerState,
    agree,
    park,
    read_agreed,
    read_entry,
    text_of,
    touch,
    unpark,
)
from appliance.cache.wire import Answer, message_of, read_document
from appliance.lib.clock import Clock
from appliance.lib.digest import canonical_json
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject

CALL_BYTES = 1024 * 1024
PATIENCE = 5
"""Times that a peer which answers otherwise may fail over one message before it is parked."""
_TRIES = 5


@dataclass
class Summary:
    """What a round did; a person reads it."""

    pulled: int = 0
    pushed: int = 0
    parked: int = 0


@dataclass
class Offering:
    """``origin`` is this box's id. Only one round at a time may run for a peer (exchange.sync_now sees to that)."""

    begin: Transaction
    peer: Peer
    peer_id: int
    origin: str
    clock: Clock
    summary: Summary = field(default_factory=Summary)
    skew: timedelta = timedelta()
    """The peer's clock less this box's, as last heard."""

    def around(self, state: PeerState) -> Surroundings:
        return Surroundings(state, self.origin, self.clock.now(), self.skew)

    def repeat(self, work: Callable[[Cursor], None]) -> None:
        """In a transaction of its own, anew when the key was written meanwhile. Raises PeerAway for later."""
        for _ in range(_TRIES):
            try:
                with self.begin() as cursor:
                    work(cursor)
                return
            except Moved:
                continue
        raise PeerAway("a key is written all the time")

    def offer(self, state: PeerState, writes: Sequence[Write]) -> bool:
        """Push writes, and take the answers; whether every one of them is settled."""
        settled = True
        for batch in _batches(self._messages(state, writes)):
            try:
                settled &= self._push_batch(state, batch)
            except (MessageRefused, PeerFailed) as error:
                if len(batch) == 1:
                    settled &= self._failed(state, batch[0].write, error)
                    continue
                for one in batch:
                    settled &= self._push_alone(state, one)
        return settled

    def _messages(self, state: PeerState, writes: Sequence[Write]) -> list["_Message"]:
        found = []
        for write in writes:
            with self.begin() as cursor:
                base = read_agreed(cursor, state.id, write.key).base
            found.append(_Message(write, message_of(write, base.stamp if base else None)))
        return found

    def _push_alone(self, state: PeerState, message: "_Message") -> bool:
        try:
            return self._push_batch(state, [message])
        except (MessageRefused, PeerFailed) as error:
            return self._failed(state, message.write, error)

    def _push_batch(self, state: PeerState, batch: Sequence["_Message"]) -> bool:
        said = self.peer.push([one.body for one in batch])
        answers = {answer.id: answer for answer in said.answers}
        settled = True
        for one in batch:
            answer = answers.get(str(one.body["id"]))
            if answer is None:
                settled = False
            elif answer.outcome == "refused":
                self._park_out(state, one.write, answer.reason)
            else:
                self._answered(state, one.write, answer)
        return settled

    def _answered(self, state: PeerState, write: Write, answer: Answer) -> None:
        """The answer counts, and the peer's current write with it, in one transaction."""
        theirs, problem = _current(answer)

        def take(cursor: Cursor) -> None:
            read_entry(cursor, write.key, lock=True)
            agreed = read_agreed(cursor, state.id, write.key)
            if agreed.sent is None or agreed.sent.stamp != write.stamp:
                return
            accepted = answer.outcome == "accepted"
            agree(cursor, state.id, write.key, Agreed(agreed.sent if accepted else agreed.base))
            unpark(cursor, state.id, write.key, Direction.OUT)
            if theirs is not None and theirs.key == write.key and theirs.stamp != write.stamp:
                meet(cursor, self.around(state), theirs)
            _offer_what_came_since(cursor, write)

        self.repeat(take)
        if problem:
            self.park(state, write.key, Direction.IN, json.dumps(answer.current)[:100_000], problem)
        self.summary.pushed += answer.outcome == "accepted"

    def _failed(self, state: PeerState, write: Write, error: MillwrightError) -> bool:
        """One message that the peer fails over: parked when it is refused, or has failed often enough."""
        with self.begin() as cursor:
            agreed = read_agreed(cursor, state.id, write.key)
            failures = agreed.failures + 1
            if not error.permanent and failures < PATIENCE:
                agree(cursor, state.id, write.key, replace(agreed, failures=failures))
                return False
        self._park_out(state, write, error.message)
        return True

    def _park_out(self, state: PeerState, write: Write, reason: str) -> None:
        with self.begin() as cursor:
            read_entry(cursor, write.key, lock=True)
            agreed = read_agreed(cursor, state.id, write.key)
            agree(cursor, state.id, write.key, Agreed(agreed.base))
            _offer_what_came_since(cursor, write)
            park(cursor, state.id, write.key, Direction.OUT, text_of(write) or "", reason, self.clock.now())
        self.summary.parked += 1

    def park(self, state: PeerState, key: str, direction: Direction, document: str, reason: str) -> None:
        with self.begin() as cursor:
            park(cursor, state.id, key, direction, document, reason, self.clock.now())
        self.summary.parked += 1


@dataclass(frozen=True, slots=True)
class _Message:
    write: Write
    body: JsonObject


def _offer_what_came_since(cursor: Cursor, settled: Write) -> None:
    """The journal's place of an edit made after ``settled`` was sent may have been passed already."""
    entry = read_entry(cursor, settled.key)
    if entry is not None and entry.write.stamp != settled.stamp:
        touch(cursor, settled.key)


def _batches(messages: Sequence[_Message]) -> Iterator[list[_Message]]:
    """Calls of bounded size; one that is larger goes alone."""
    batch: list[_Message] = []
    size = 0
    for one in messages:
        length = len(canonical_json(one.body))
        if batch and size + length > CALL_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += length
    if batch:
        yield batch


def _current(answer: Answer) -> tuple[Write | None, str]:
    if answer.current is None:
        return None, ""
    try:
        return read_document(answer.current), ""
    except CacheRefused as error:
        return None, error.message
