"""An engine's answer as it comes, piece by piece. What is wrong with it is told apart: the engine, or what it says.

With OpenAI's own client, by its way for requests that it does not know: by the other way it looks at each message of a
question again, which takes thirty milliseconds of the processor where there are a hundred of them.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.inference.backends.contract import Dialect
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.believing import believed
from appliance.inference.client import Lease
from appliance.inference.errors import ModelAnswerBad, ModelRefused, ModelUnavailable
from appliance.inference.leases import Granted
from appliance.lib.jsontypes import JsonObject

if TYPE_CHECKING:
    import openai

BEAT_EVERY = 1.0
NO_ANSWER = (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, RecursionError)
"""What comes of reading something as a piece of an answer that is none."""
REST = 3.0
"""Seconds that a connection is kept for the next question; engines hang up after five."""
MOST_ENGINES = 16
"""For how many of them connections are kept."""
_LONGEST = 1 << 20
_MOST_TOKENS = 2**31 - 1
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


@dataclass(slots=True)
class _Known:
    client: "openai.AsyncOpenAI"
    users: int = 0
    asked: bool = False
    """Whether a connection of it may rest."""


class EngineClients:
    """A client for each engine, whose connections rest between questions. All are asked in one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}

    @asynccontextmanager
    async def of(self, granted: Granted) -> "AsyncIterator[_Known]":
        place = (granted.url, granted.key)
        # The one that was asked longest ago stands first.
        known = self._known.pop(place, None) or _Known(_client(granted))
        self._known[place] = known
        known.users += 1
        try:
            await self._sweep()
            yield known
        finally:
            known.users -= 1
            known.asked = True

    async def close(self) -> None:
        while self._known:
            await self._known.popitem()[1].client.close()

    async def _sweep(self) -> None:
        idle = [place for place, known in self._known.items() if not known.users]
        for place in idle[: max(0, len(self._known) - MOST_ENGINES)]:
            await self._known.pop(place).client.close()


def _client(granted: Granted) -> "openai.AsyncOpenAI":
    """Raises ModelUnavailable."""
    import httpx2
    import openai

    return openai.AsyncOpenAI(
        base_url=f"{granted.url}/v1",
        api_key=granted.key or "none",
        max_retries=0,
        timeout=openai.Timeout(None, connect=10.0),
        http_client=openai.DefaultAsyncHttpxClient(
            trust_env=False,
            verify=believed(granted.url),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=REST),
        ),
    )


async def heard_from(clients: EngineClients, body: JsonObject, lease: Lease, on_text: OnText) -> Heard:
    """The whole answer. The engine's failures are the lease's too: the keeper counts them.

    Raises ModelRefused, ModelUnavailable, ModelAnswerBad.
    """
    import httpx2
    import openai

    dialect, heard = dialect_of(lease.granted.chosen.engine), Heard()
    try:
        async with clients.of(lease.granted) as known:
            await _listen(known, body, lease, on_text, heard)
    except openai.APIStatusError as error:
        raise _refused(error.status_code, error.response.content, dialect, lease, heard) from error
    except (openai.APIError, httpx2.HTTPError) as error:
        if dialect.blames_answer(str(error)):
            raise _no_answer(lease, heard, str(error)) from error
        lease.failed(str(error))
        raise ModelUnavailable(f"the connection to the model broke: {error}") from error
    except NO_ANSWER as error:
        lease.failed(f"what nobody understands: {error}")
        raise ModelUnavailable("the model's engine sent what nobody understands") from error
    return heard


def _refused(status: int, content: bytes, dialect: Dialect, lease: Lease, heard: Heard) -> Exception:
    said = dialect.refusal(status, content)
    if dialect.blames_answer(said):
        return _no_answer(lease, heard, said)
    if status < 500:
        return ModelRefused(f"the model's engine refuses the question: {said}")
    lease.failed(said)
    return ModelUnavailable(f"the model's engine failed: {said}")


def _no_answer(lease: Lease, heard: Heard, said: str) -> ModelAnswerBad:
    """What a model said is no answer, and no reason to take its engine for broken: else one who can make it say such
    things takes it away from everybody."""
    lease.done(heard.count)
    return ModelAnswerBad(f"the engine can make nothing of the answer: {said[:300]}", said=heard.text)


async def _opened(known: _Known, body: JsonObject) -> "openai.AsyncStream[Any]":
    """Once more where the connection had rested: its engine may have hung up while nobody looked, which says nothing
    of the engine."""
    import httpx2
    import openai

    async def opened() -> "openai.AsyncStream[Any]":
        return await known.client.post(
            "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[Any]
        )

    try:
        return await opened()
    except openai.APIConnectionError as error:
        if not known.asked or not isinstance(
            error.__cause__, httpx2.RemoteProtocolError | httpx2.NetworkError
        ):
            raise
        return await opened()


async def _listen(known: _Known, body: JsonObject, lease: Lease, on_text: OnText, heard: Heard) -> None:
    beaten = time.monotonic()
    async with await _opened(known, body) as stream:
        async for chunk in stream:
            _take(chunk, on_text, heard)
            if time.monotonic() - beaten >= BEAT_EVERY:
                beaten = time.monotonic()
                lease.beat(heard.count)
    if not heard.finish:
        lease.failed("the stream was cut")
        raise ModelUnavailable("the model's answer was cut in the middle")


def _take(chunk: dict[str, Any], on_text: OnText, heard: Heard) -> None:
    usage = chunk.get("usage")
    if usage is not None:
        heard.prompt_tokens, heard.generated_tokens = (
            min(max(0, int(usage.get(name) or 0)), _MOST_TOKENS)
            for name in ("prompt_tokens", "completion_tokens")
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
