"""Asking a model: a lease, the question as its engine takes it, the answer as it comes, and whether it is one."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from appliance.inference.backends.dialects import dialect_of
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.control_tokens import without_control_tokens
from appliance.inference.errors import ModelAnswerBad, ModelAnswerCut, ModelRefused
from appliance.inference.hearing import EngineClients, Heard, heard_from
from appliance.inference.leases import Chosen, Waiting, Wish
from appliance.lib.json_schema import misfit, place_of
from appliance.lib.jsontypes import JsonObject, JsonValue

BYTES_A_TOKEN = 2.5
"""From below: of Chinese in UTF-8 about three, of English four."""
BESIDE = 64
"""Tokens that the template of a chat puts around its messages."""


@dataclass(frozen=True, slots=True)
class Question:
    """``messages`` as in OpenAI's protocol: ``(role, text)``. ``schema``: what the answer's JSON has to fit.

    Words by which chat templates mark who speaks are in none of them, whoever wrote it: what a text holds from outside
    nobody knows here.
    """

    messages: tuple[tuple[str, str], ...]
    schema: JsonObject | None = None
    max_tokens: int = 512
    temperature: float = 0.2

    def __post_init__(self) -> None:
        clean = tuple((role, without_control_tokens(text)) for role, text in self.messages)
        object.__setattr__(self, "messages", clean)

    @property
    def tokens(self) -> int:
        """Question and answer together, estimated from above."""
        return estimated(self.messages, self.schema, self.max_tokens)


def estimated(messages: tuple[tuple[str, str], ...], schema: JsonObject | None, max_tokens: int) -> int:
    """Tokens of such a question and its answer together, from above; nothing is taken out of it for that."""
    size = sum(len(text.encode()) for _, text in messages) + len(json.dumps(schema or {}))
    return int(size / BYTES_A_TOKEN) + BESIDE * len(messages) + max_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """``value``: the answer's JSON, where a schema was given. ``seconds`` without the wait for the model."""

    text: str
    value: JsonValue
    chosen: Chosen
    seconds: float
    prompt_tokens: int = 0
    generated_tokens: int = 0


class Asker:
    """``clients`` keeps connections to engines for the next questions, where all are asked in one event loop, as
    ``keeper`` may with its own; without it each question has a connection of its own."""

    def __init__(self, keeper: KeeperClient, clients: EngineClients | None = None) -> None:
        self._keeper = keeper
        self._clients = clients

    async def ask(
        self,
        question: Question,
        wish: Wish,
        on_text: Callable[[str], None] | None = None,
        on_wait: Callable[[Waiting], None] | None = None,
    ) -> Reply:
        """One answer, whole and fitting.

        Raises ModelUnknown, ModelRefused, ModelBusy, ModelUnavailable, ModelAnswerBad.
        """
        tokens = max(wish.tokens, question.tokens)
        async with self._keeper.lease(wish.model_copy(update={"tokens": tokens}), on_wait) as lease:
            began = time.monotonic()
            heard = await self._heard(question, lease, on_text)
            lease.done(heard.count)
            return Reply(
                heard.text,
                _value(question, heard),
                lease.chosen,
                time.monotonic() - began,
                heard.prompt_tokens,
                heard.generated_tokens or heard.count,
            )

    async def close(self) -> None:
        """The connections that rest."""
        if self._clients is not None:
            await self._clients.close()
        await self._keeper.close()

    async def _heard(self, question: Question, lease: Lease, on_text: Callable[[str], None] | None) -> Heard:
        clients = self._clients or EngineClients()
        try:
            return await heard_from(clients, _body(question, lease), lease, on_text)
        finally:
            if clients is not self._clients:
                await clients.close()


def _body(question: Question, lease: Lease) -> dict[str, Any]:
    """As the engine takes it: no field that it does not know."""
    body: JsonObject = {
        "model": lease.granted.served_name,
        "messages": [{"role": role, "content": text} for role, text in question.messages],
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if question.schema is not None:
        named = {"name": "answer", "schema": question.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": cast(JsonValue, named)}
    dialect = dialect_of(lease.granted.chosen.engine)
    return {key: value for key, value in dialect.shape(body).items() if key in dialect.fields}


def _value(question: Question, heard: Heard) -> JsonValue:
    """The JSON of the answer. An engine that was to keep to a schema is not believed. Raises ModelAnswerBad."""
    if question.schema is None:
        return None
    if heard.finish == "length":
        raise ModelAnswerCut(
            f"the answer was cut after {question.max_tokens} tokens", hint="raise max_tokens", said=heard.text
        )
    try:
        value: JsonValue = json.loads(heard.text)
    except (ValueError, RecursionError) as wrong:
        raise ModelAnswerBad(f"the answer is no JSON: {wrong}", said=heard.text) from wrong
    try:
        error = misfit(question.schema, value)
    except ValueError as wrong:
        raise ModelRefused(f"the schema of the answer cannot be used: {wrong}") from wrong
    except RecursionError as wrong:
        raise ModelAnswerBad("the answer is too deep to be looked at", said=heard.text) from wrong
    if error is not None:
        where = place_of(error, "the answer")
        said = f"the answer does not fit its schema: {where}: {error.message}"
        raise ModelAnswerBad(said, said=heard.text) from error
    return value
