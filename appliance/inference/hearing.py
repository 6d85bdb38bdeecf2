"""An engine's answer as it comes, piece by piece. What is wrong with it is told apart: the engine, or what it says.

Over the wire of the gateway: the client of a library took six milliseconds of the processor for a short question and
thirty for one of a hundred messages, each of which it looked at.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from appliance.inference.backends.contract import Dialect
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.client import Lease
from appliance.inference.errors import ModelAnswerBad, ModelRefused, ModelUnavailable
from appliance.inference.gateway.engine import Engines, Reply
from appliance.inference.gateway.sse import Relay, read
from appliance.inference.gateway.wire import EngineBroken
from appliance.lib.jsontypes import JsonObject

BEAT_EVERY = 1.0
NO_ANSWER = (ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What comes of reading something as a piece of an answer that is none."""
_PATH = "/v1/chat/completions"
_LONGEST = 1 << 20
_DRAIN = 0.05
"""Seconds for the end of an answer that has said that it is done: without it the connection carries no other."""
OnText = Callable[[str], None] | None


@dataclass(slots=True)
class Heard:
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    count: int = 0
    finish: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)


async def heard_from(engines: Engines, body: JsonObject, lease: Lease, on_text: OnText) -> Heard:
    """The whole answer. The engine's failures are the lease's too: the keeper counts them.

    Raises ModelRefused, ModelUnavailable, ModelAnswerBad.
    """
    dialect, heard = dialect_of(lease.granted.chosen.engine), Heard()
    async with AsyncExitStack() as stack:
        try:
            reply = await engines.post(stack, lease.granted, _PATH, body)
            if reply.status != 200:
                raise await _refused(reply, dialect, lease, heard)
            await _listen(reply, dialect, lease, on_text, heard)
        except EngineBroken as error:
            lease.failed(str(error))
            raise ModelUnavailable(f"the connection to the model broke: {error}") from error
        except NO_ANSWER as error:
            lease.failed(f"what nobody understands: {error}")
            raise ModelUnavailable("the model's engine sent what nobody understands") from error
    return heard


async def _refused(reply: Reply, dialect: Dialect, lease: Lease, heard: Heard) -> Exception:
    said = dialect.refusal(reply.status, await reply.refusal())
    if dialect.blames_answer(said):
        return _no_answer(lease, heard, said)
    if reply.status < 500:
        return ModelRefused(f"the model's engine refuses the question: {said}")
    lease.failed(said)
    return ModelUnavailable(f"the model's engine failed: {said}")


def _no_answer(lease: Lease, heard: Heard, said: str) -> ModelAnswerBad:
    """What a model said is no answer, and no reason to take its engine for broken: else one who can make it say such
    things takes it away from everybody."""
    lease.done(heard.count)
    return ModelAnswerBad(f"the engine can make nothing of the answer: {said[:300]}", said=heard.text)


async def _listen(reply: Reply, dialect: Dialect, lease: Lease, on_text: OnText, heard: Heard) -> None:
    relay, beaten = Relay(keep_usage=True), time.monotonic()
    async for data in reply.pieces:
        for event in relay.split(data):
            if not event.startswith((b":", b"data: [DONE]", b"data:[DONE]")):
                _take(event, dialect, lease, on_text, heard)
        if relay.error is not None:
            raise _error(relay.error, dialect, lease, heard)
        if relay.done:
            await _to_its_end(reply.pieces)
            break
        if time.monotonic() - beaten >= BEAT_EVERY:
            beaten = time.monotonic()
            lease.beat(heard.count)
    if not heard.finish:
        lease.failed("the stream was cut")
        raise ModelUnavailable("the model's answer was cut in the middle")


def _take(event: bytes, dialect: Dialect, lease: Lease, on_text: OnText, heard: Heard) -> None:
    chunk = read(event)
    if chunk is None:
        raise ValueError(event[:100].decode("utf-8", "replace"))
    if chunk.get("error"):
        raise _error(event, dialect, lease, heard)
    usage = chunk.get("usage")
    if usage is not None:
        heard.prompt_tokens, heard.generated_tokens = (
            max(0, int(usage.get(name) or 0)) for name in ("prompt_tokens", "completion_tokens")
        )
    for choice in chunk.get("choices") or ():
        heard.finish = str(choice.get("finish_reason") or heard.finish)
        _say(choice.get("delta") or {}, on_text, heard)


def _say(delta: dict[str, Any], on_text: OnText, heard: Heard) -> None:
    piece = delta.get("content") or ""
    if not isinstance(piece, str):
        raise TypeError("a piece that is no text")
    if not piece:
        return
    heard.count += 1
    heard.size += len(piece)
    if heard.size > _LONGEST:
        raise ModelAnswerBad("the answer is longer than a million characters")
    heard.pieces.append(piece)
    if on_text is not None:
        on_text(piece)


def _error(event: bytes, dialect: Dialect, lease: Lease, heard: Heard) -> Exception:
    """In the middle of an answer."""
    said = dialect.refusal(500, event.partition(b"data:")[2].strip() or event)
    return _no_answer(lease, heard, said) if dialect.blames_answer(said) else EngineBroken(said)


async def _to_its_end(pieces: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, EngineBroken):
        async with asyncio.timeout(_DRAIN):
            async for _ in pieces:
                pass
