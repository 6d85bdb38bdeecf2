"""From an item of the outbox to a message: its recipient, its buttons, its files, and whose place it takes."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges import sql
from appliance.bridges.buttons import keep_buttons
from appliance.bridges.digests import in_words
from appliance.bridges.files import files_of
from appliance.bridges.illustrating import Charts
from appliance.bridges.long_text import FILE_NAME, placed
from appliance.bridges.messages import Button, ChatMessage
from appliance.bridges.ports import Bridge, Illustrator
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryRefused, NotReady
from appliance.outbox.ports import Digest, Parcel


class Composer:
    """An item's ``message`` has ``text``, and where it wants them ``title``, ``attach`` (a long text, in a file called
    ``attach_name``), ``buttons`` (a list of ``label`` and ``data``), ``files`` (identifiers of kept files), ``chart``
    (what `Illustrator` makes) and ``edits`` (whose place it takes).

    One that ``settles`` another takes its place or is not sent at all: where the other never arrived there is nothing
    to say, and where it stands on a platform that cannot edit there is only what it says ``aloud``, if anything."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        key: str | None = None,
        illustrator: Illustrator | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._key = key
        self._charts = Charts(pool, illustrator)

    async def compose(self, parcel: Parcel, bridge: Bridge, *, opaque: bool) -> ChatMessage | None:
        """None where nothing is to be sent. ``opaque``: the platform is not to know what its buttons mean.

        Raises DeliveryRefused, NotReady.
        """
        given: JsonObject | None = parcel.message
        if "settles" in parcel.message:
            given = await self._settling(parcel, bridge)
        if given is None:
            return None
        title, files = str(given.get("title") or "")[:200], _names(given.get("files"))
        words, charts = await self._charts.of(parcel, bridge.capabilities)
        text = "\n".join(filter(None, (str(given.get("text") or ""), words)))
        attached = str(given.get("attach") or "")
        if not (text.strip() or attached.strip() or files or charts):
            raise DeliveryRefused(say("the message is empty"))
        buttons = _buttons(given.get("buttons")) if bridge.capabilities.buttons else ()
        conversation = parcel.conversation or bridge.default_conversation()
        async with self._pool.connection() as connection, connection.transaction():
            conversation = conversation or await _default(connection, parcel.platform)
            if not conversation:
                raise NotReady(
                    say("no recipient yet"), hint=say("open the platform page, or write to the bot")
                )
            if buttons and opaque:
                buttons = await keep_buttons(
                    connection, parcel.platform, parcel.id, buttons, self._clock.now(), self._key
                )
            attachments = await files_of(connection, files)
            replaces = await _replaced(connection, given, parcel.digest) if bridge.capabilities.edits else ()
            if parcel.digest:
                language = await _language(connection, parcel.platform, conversation)
                text = in_words(parcel.about, parcel.digest, text, self._clock.now(), language)
        name = str(given.get("attach_name") or FILE_NAME)[:60]
        text, logs = placed(text, title, attached, bridge.capabilities, name)
        return ChatMessage(
            id=parcel.id,
            key=parcel.key,
            conversation=conversation,
            text=text,
            title=title,
            buttons=buttons,
            attachments=charts + attachments + logs,
            replaces=replaces,
            run_id=parcel.run_id,
            parts_done=parcel.parts_done,
            repeat_possible=parcel.repeat_possible,
        )

    async def _settling(self, parcel: Parcel, bridge: Bridge) -> JsonObject | None:
        """The message as one that edits, where what it settles arrived and can be edited."""
        edit: JsonObject = {**parcel.message, "edits": parcel.message["settles"]}
        async with self._pool.connection() as connection:
            arrived = await _replaced(connection, edit, None)
        if not arrived:
            return None
        return edit if bridge.capabilities.edits else aloud(parcel.message)


def aloud(given: JsonObject) -> JsonObject | None:
    """What is said anew where the message that is settled cannot be edited; None: nothing."""
    said = given.get("aloud")
    return {"text": said} if isinstance(said, str) and said else None


async def _default(connection: AsyncConnection[Any], platform: str) -> str:
    row = await (await connection.execute(sql.DEFAULT_CONVERSATION, {"name": platform})).fetchone()
    return row[0] if row else ""


async def _language(connection: AsyncConnection[Any], platform: str, conversation: str) -> str:
    """Of whoever is spoken to there; English where that is nobody known."""
    values = {"platform": platform, "conversation": conversation}
    row = await (await connection.execute(sql.LANGUAGE_OF, values)).fetchone()
    return row[0] if row else "en"


async def _replaced(
    connection: AsyncConnection[Any], given: JsonObject, digest: Digest | None
) -> tuple[str, ...]:
    """What the platform calls the texts whose place this one takes; nothing where none was delivered."""
    edits = given.get("edits")
    named = UUID(edits) if isinstance(edits, str) else digest.replaces if digest else None
    if named is None:
        return ()
    row = await (await connection.execute(sql.RECEIPT_OF, {"id": named})).fetchone()
    receipt = row[0] if row and isinstance(row[0], dict) else {}
    numbers, detail = receipt.get("message_ids"), receipt.get("detail")
    texts = detail.get("texts") if isinstance(detail, dict) else None
    return tuple(map(str, numbers[:texts])) if isinstance(numbers, list) else ()


def _names(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _buttons(value: object) -> tuple[Button, ...]:
    """The buttons of a stored message: a list of ``{"label", "data"}``."""
    items = value if isinstance(value, list) else []
    return tuple(
        Button(str(item["label"]), str(item["data"]))
        for item in items
        if isinstance(item, dict) and "label" in item and "data" in item
    )
