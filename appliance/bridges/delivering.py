"""Parts of one message on their way: in order, with a pause, and those that arrived before are not sent again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from appliance.bridges.messages import ChatMessage
from appliance.bridges.presenting import Part
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryError, DeliveryRefused
from appliance.outbox.ports import Receipt


@dataclass(slots=True)
class Delivery:
    """What becomes of one message. A bridge may note what people should know of it, and where it went instead."""

    platform: str
    message: ChatMessage
    conversation: str = ""
    notes: list[str] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)

    def key(self, part: Part) -> str:
        """The same at each attempt: the message's for its first part, and with the number behind it for another."""
        return f"{self.message.key}/{part.number}" if part.number else self.message.key

    async def carry(
        self, parts: Sequence[Part], post: Callable[[Part], Awaitable[str]], clock: Clock, pause: float = 0.0
    ) -> Receipt:
        """Give each part to ``post``, which gives the platform's identifier of it. Raises DeliveryError.

        ``pause`` is seconds between two parts: people read them in the order in which the platform took them.
        """
        if not parts:
            raise DeliveryRefused(say("the message is empty"))
        if self.message.repeat_possible:
            self.notes.append("a possible repeat")
        texts = 0
        for index, part in enumerate(parts):
            if index < self.message.parts_done:
                continue
            if self.message_ids and pause:
                await asyncio.sleep(pause)
            try:
                self.message_ids.append(await post(replace(part, number=index)))
            except DeliveryError as error:
                error.parts_done = index
                raise
            texts += part.attachment is None
        # Only the place of a text can be taken by another one.
        detail: JsonObject = {"texts": texts} if texts < len(self.message_ids) else {}
        return Receipt(
            self.platform,
            self.conversation or self.message.conversation,
            tuple(self.message_ids),
            clock.now(),
            note="; ".join(self.notes),
            detail=detail,
        )
