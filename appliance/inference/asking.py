"""Asking a model: a lease, the question as its engine takes it, the answer as it comes, and whether it is one."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from appliance.inference.backends.dialects import dialect_of
from appliance.inference.believing import believed
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.control_tokens import without_control_tokens
from appliance.inference.errors import ModelAnswerBad, ModelAnswerCut, ModelRefused, ModelUnavailable
from appliance.inference.leases import Chosen, Waiting, Wish
from appliance.lib.json_schema import misfit, place_of
from appliance.lib.jsontypes import JsonObject, JsonValue

if TYPE_CHECKING:
    import openai

BYTES_A_TOKEN = 2.5
"""From below: of Chinese in UTF-8 about three, of English four."""
BESIDE = 64
"""Tokens that the template of a chat puts around its messages."""
BEAT_EVERY = 1.0
_LONGEST = 1 << 20
NO_ANSWER = (ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What comes of reading something as a piece of an answer that is none."""


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


@dataclass(slots=True)
class _Heard:
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    count: int = 0
    finish: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Asker:
    def __init__(self, keeper: KeeperClient) -> None:
        self._keeper = keeper

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
            heard = await _heard(question, lease, on_text)
            lease.done(heard.count)
            return Reply(
                heard.text,
                _value(question, heard),
                lease.chosen,
                time.monotonic() - began,
                heard.prompt_tokens,
                heard.generated_tokens or heard.count,
            )


async def _heard(question: Question, lease: Lease, on_text: Callable[[str], None] | None) -> _Heard:
    """The answer as it comes. The engine's failures are the lease's too: the keeper counts them."""
    import httpx2
    import openai

    granted = lease.granted
    client = openai.AsyncOpenAI(
        base_url=f"{granted.url}/v1",
        api_key=granted.key or "none",
        max_retries=0,
        timeout=openai.Timeout(None, connect=10.0),
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False, verify=believed(granted.url)),
    )
    dialect, heard = dialect_of(granted.chosen.engine), _Heard()
    try:
        return await _streamed(client, question, lease, on_text, heard)
    except openai.APIStatusError as error:
        said = dialect.refusal(error.status_code, error.response.content)
        if dialect.blames_answer(said):
            raise _no_answer(lease, heard, said) from error
        if error.status_code < 500:
            raise ModelRefused(f"the model's engine refuses the question: {said}") from error
        lease.failed(said)
        raise ModelUnavailable(f"the model's engine failed: {said}") from error
    except (openai.APIError, httpx2.HTTPError) as error:
        if dialect.blames_answer(str(error)):
            raise _no_answer(lease, heard, str(error)) from error
        lease.failed(str(error))
        raise ModelUnavailable(f"the connection to the model broke: {error}") from error
    except NO_ANSWER as error:
        lease.failed(f"what nobody understands: {error}")
        raise ModelUnavailable("the model's engine sent what nobody understands") from error
    finally:
        await client.close()


def _no_answer(lease: Lease, heard: _Heard, said: str) -> ModelAnswerBad:
    """What a model said is no answer, and no reason to take its engine for broken: else one who can make it say such
    things takes it away from everybody."""
    lease.done(heard.count)
    return ModelAnswerBad(f"the engine can make nothing of the answer: {said[:300]}", said=heard.text)


async def _streamed(
    client: "openai.AsyncOpenAI",
    question: Question,
    lease: Lease,
    on_text: Callable[[str], None] | None,
    heard: _Heard,
) -> _Heard:
    beaten = time.monotonic()
    stream: Any = await client.chat.completions.create(**_body(question, lease))
    async for chunk in stream:
        if chunk.usage is not None:
            heard.prompt_tokens, heard.generated_tokens = (
                chunk.usage.prompt_tokens,
                chunk.usage.completion_tokens,
            )
        for choice in chunk.choices:
            heard.finish = choice.finish_reason or heard.finish
            _take(heard, choice.delta.content or "", on_text)
        if time.monotonic() - beaten >= BEAT_EVERY:
            beaten = time.monotonic()
            lease.beat(heard.count)
    if not heard.finish:
        lease.failed("the stream was cut")
        raise ModelUnavailable("the model's answer was cut in the middle")
    return heard


def _take(heard: _Heard, piece: str, on_text: Callable[[str], None] | None) -> None:
    if not piece:
        return
    heard.count += 1
    heard.size += len(piece)
    if heard.size > _LONGEST:
        raise ModelAnswerBad("the answer is longer than a million characters")
    heard.pieces.append(piece)
    if on_text is not None:
        on_text(piece)


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


def _value(question: Question, heard: _Heard) -> JsonValue:
    """The JSON of the answer. An engine that was to keep to a schema is not believed. Raises ModelAnswerBad."""
    if question.schema is None:
        return None
    if heard.finish == "length":
        raise ModelAnswerCut(
            f"the answer was cut after {question.max_tokens} tokens", hint="raise max_tokens", said=heard.text
        )
    try:
        value: JsonValue = json.loads(heard.text)
        error = misfit(question.schema, value)
    except (ValueError, RecursionError) as wrong:
        raise ModelAnswerBad(f"the answer is no JSON: {wrong}", said=heard.text) from wrong
    if error is not None:
        where = place_of(error, "the answer")
        said = f"the answer does not fit its schema: {where}: {error.message}"
        raise ModelAnswerBad(said, said=heard.text) from error
    return value
