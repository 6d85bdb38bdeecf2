"""One request from its wish to the end of its answer, with an eye on the client, the token and the engine meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from appliance.accounts.principal import Principal
from appliance.inference.domain import EngineKind
from appliance.inference.gateway.access import Access
from appliance.inference.gateway.answers import Answer
from appliance.inference.gateway.errors import ApiError, answer_bad, engine_failed
from appliance.inference.gateway.meter import Meter
from appliance.inference.gateway.opening import Opened, Openings, cut, unreadable
from appliance.inference.gateway.ports import CutOff
from appliance.inference.gateway.shaping import Asked, AskedVectors
from appliance.inference.gateway.sse import Relay, Unbroken
from appliance.inference.gateway.wire import EngineBroken
from appliance.inference.leases import Waiting, Wish
from appliance.lib.cancelling import end
from appliance.lib.jsontypes import JsonObject

Receive = Callable[[], Awaitable[dict[str, Any]]]

BEAT = 1.0
"""Seconds between two looks at an answer under way."""
SAY_AFTER = 3.0
"""Seconds of waiting after which a stream begins without a piece, so that nobody between hangs up."""
_DRAIN = 0.2


@dataclass(eq=False, slots=True)
class _Progress:
    """Of one request, as its watcher sees it."""

    relay: Relay | Unbroken
    began: float = field(default_factory=time.monotonic)
    why: str = "waiting"
    opened: Opened | None = None
    told: int = 0

    def waits(self, waiting: Waiting) -> None:
        expected = f", about {waiting.expected:.0f} s" if waiting.expected else ""
        self.why = f"{waiting.why}{expected}"

    def usage(self, asked: Asked) -> JsonObject:
        """As the engine counts; where it did not say, as can be counted from here."""
        said = self.relay.usage or {}
        prompt = said.get("prompt_tokens")
        prompt = prompt if isinstance(prompt, int) else asked.estimate
        generated = said.get("completion_tokens")
        generated = generated if isinstance(generated, int) else self.relay.events
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            **said,
        }


class Serving:
    def __init__(
        self,
        openings: Openings,
        access: Access,
        meter: Meter,
        cut_off: CutOff,
        *,
        beat: float = BEAT,
        say_after: float = SAY_AFTER,
    ) -> None:
        self._openings = openings
        self._access = access
        self._meter = meter
        self._cut_off = cut_off
        self._beat = beat
        self._say_after = say_after

    async def serve(
        self, asked: Asked, wish: Wish, token: str, by: Principal, receive: Receive, answer: Answer
    ) -> None:
        """Until the answer is out, or the client away. Raises ApiError, MillwrightError before the first byte."""
        relay = Unbroken() if isinstance(asked, AskedVectors) else Relay(keep_usage=asked.keep_usage)
        progress = _Progress(relay)
        pump = asyncio.ensure_future(self._pump(asked, wish, progress, answer))
        watch = asyncio.ensure_future(self._watch(progress, token, receive, answer))
        try:
            await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
                return
            why = watch.result()
        finally:
            await end({pump, watch})
            if progress.opened is not None:
                usage = progress.usage(asked)
                self._meter.count(by, int(str(usage["prompt_tokens"])), int(str(usage["completion_tokens"])))
        if why is not None:
            raise why

    async def _pump(self, asked: Asked, wish: Wish, progress: _Progress, answer: Answer) -> None:
        async with AsyncExitStack() as stack:
            opened = progress.opened = await self._openings.open(stack, asked, wish, progress.waits)
            await answer.begin(opened)
            try:
                await self._read(opened, progress, answer)
            except (EngineBroken, ValueError) as error:
                opened.lease.failed(str(error))
                raise engine_failed(f"{opened.chosen.model}: {error}") from error
            opened.lease.done(progress.relay.events)
            await answer.end(progress.usage(asked))
            with contextlib.suppress(TimeoutError, EngineBroken):
                # To its very end, or the connection could not carry the next request.
                async with asyncio.timeout(_DRAIN):
                    async for _ in opened.rest:
                        pass

    async def _read(self, opened: Opened, progress: _Progress, answer: Answer) -> None:
        relay, data = progress.relay, opened.first
        is_stream = isinstance(relay, Relay)
        while data:
            events = relay.split(data)
            if events:
                await answer.pieces(events)
            if relay.error is not None:
                raise _ended_by(opened, relay.error, relay.events)
            if is_stream and relay.done:
                return
            data = await anext(opened.rest, b"")
        if not relay.done:
            raise EngineBroken("the engine broke off in the middle of its answer")

    async def _watch(
        self, progress: _Progress, token: str, receive: Receive, answer: Answer
    ) -> ApiError | None:
        """Why the answer has to end: None, because nobody is there to hear it."""
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while not (await asyncio.wait({gone}, timeout=self._beat))[0]:
                if not await self._access.still(token):
                    return ApiError(
                        401, "the token has ended", "authentication_error", code="invalid_api_key"
                    )
                opened = progress.opened
                if opened is None:
                    if time.monotonic() - progress.began >= self._say_after:
                        await answer.wait(progress.why)
                    continue
                if opened.chosen.engine is EngineKind.REMOTE and await self._cut_off():
                    return cut()
                if progress.relay.events != progress.told:
                    progress.told = progress.relay.events
                    opened.lease.beat(progress.told)
            return None
        finally:
            await end({gone})


def _ended_by(opened: Opened, error: bytes, events: int) -> ApiError:
    """Of an error in the middle of a stream: what the model said is at fault, or its engine."""
    said = opened.dialect.refusal(500, error)
    if not opened.dialect.blames_answer(said):
        return engine_failed(f"{opened.chosen.model}: {said}")
    opened.lease.done(events)
    return answer_bad(unreadable(opened.chosen, said))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
