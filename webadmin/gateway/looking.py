"""What a connection reads from the database, each in one go: its token anew, and what is new for it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from appliance.accounts.models import ApiToken
from appliance.accounts.tokens import still_good
from appliance.bridges.gateway.chat import OpenMessage, open_messages
from appliance.events import AllStopChanged
from appliance.events.journal import Cursor, CursorInvalid, Page
from appliance.events.services import current_cursor, has_gap, read_after
from webadmin.gateway import flow
from webadmin.gateway.commands import stop_state
from webadmin.gateway.errors import TokenEnded
from webadmin.gateway.protocol import (
    AllStopOut,
    ButtonOut,
    EventOut,
    Events,
    Limits,
    MessageOut,
    Subscribe,
    Subscribed,
    Welcome,
)
from webadmin.gateway.topics import granted, seen_by

BATCH = 200


@dataclass(frozen=True, slots=True)
class Look:
    """``page`` is None where the position is of another journal."""

    token: ApiToken
    page: Page | None
    messages: list[OpenMessage]


def look(token_id: int, cursor: Cursor, now: datetime) -> Look:
    """Raises TokenEnded."""
    token = good_token(token_id, now)
    try:
        page = read_after(cursor, BATCH)
    except CursorInvalid:
        page = None
    return Look(token, page, open_messages(token))


def frames(seen: Look, topics: frozenset[str], shown: Collection[UUID]) -> Iterator[BaseModel]:
    """What the client is told of it, in order; messages that it was shown before on this connection are left out."""
    entries = seen.page.entries if seen.page else ()
    for entry in entries:
        if entry.type == AllStopChanged.type:
            data, by = entry.data, entry.data.get("principal", "")
            said = {"level": data["level"], "epoch": data["epoch"], "reason": data["reason"], "by": by}
            yield AllStopOut.model_validate(said)
    told = seen_by(seen.token.principal, seen.token.user.username, topics, entries)
    if told and seen.page:
        events = [EventOut.model_validate(entry.to_json()) for entry in told]
        yield Events(cursor=str(seen.page.cursor), events=events)
    for message in seen.messages:
        if message.item_id not in shown:
            yield _message(message)


def _message(message: OpenMessage) -> MessageOut:
    return MessageOut(
        message=message.item_id,
        conversation=message.conversation,
        at=message.at,
        title=message.title,
        text=message.text,
        buttons=[ButtonOut(label=one["label"], data=one["data"]) for one in message.buttons],
        run=message.run_id,
    )


def good_token(token_id: int, now: datetime) -> ApiToken:
    """Raises TokenEnded."""
    token = still_good(token_id, now)
    if token is None:
        raise TokenEnded(
            "the token is revoked or expired, or its person locked out", hint="ask for another one"
        )
    return token


def welcome(token_id: int, now: datetime) -> tuple[Welcome, Cursor]:
    """The position is taken first: whoever reads the state of something now misses no change of it after that.

    Raises TokenEnded.
    """
    token, cursor = good_token(token_id, now), current_cursor()
    said = Welcome(
        time=now,
        principal=token.principal.name,
        scopes=sorted(token.abilities),
        cursor=str(cursor),
        heartbeat=flow.HEARTBEAT_EVERY,
        limits=Limits(
            frame=flow.LARGEST_FRAME,
            rate=flow.RATE,
            burst=flow.BURST,
            sockets=flow.MOST_SOCKETS,
            window=flow.WINDOW,
            patience=flow.PATIENCE,
        ),
        allstop=stop_state(),
    )
    return said, cursor


def subscribe(
    asked: Subscribe, token_id: int, at: Cursor, now: datetime
) -> tuple[Subscribed, frozenset[str], Cursor]:
    """The answer, what comes from now on, and the position to go on from: ``at`` where no other was given.

    Raises TokenEnded, TopicUnknown, CursorInvalid for what no journal ever gave out.
    """
    token = good_token(token_id, now)
    topics, refused = granted(token.principal, asked.topics)
    cursor, gap = at, False
    if asked.after is not None:
        cursor = Cursor.parse(asked.after)
        newest = current_cursor()
        if cursor.xact > newest.xact:
            cursor, gap = newest, True
        else:
            gap = has_gap(cursor)
    answer = Subscribed(id=asked.id, topics=sorted(topics), refused=refused, after=str(cursor), gap=gap)
    return answer, topics, cursor
