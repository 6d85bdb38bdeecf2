"""From a wish to the first bytes of an answer; once more with another lease where the first engine fails before."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from appliance.inference.backends.contract import Dialect
from appliance.inference.client import Lease
from appliance.inference.domain import EngineKind
from appliance.inference.gateway.engine import Engines, Reply
from appliance.inference.gateway.errors import ApiError, answer_bad, engine_failed, invalid
from appliance.inference.gateway.forced import Forced
from appliance.inference.gateway.ports import CutOff, Dialects, Keeper
from appliance.inference.gateway.shaping import Asked
from appliance.inference.gateway.wire import EngineBroken
from appliance.inference.leases import Chosen, Waiting, Wish

_AT_FAULT = frozenset({400, 404, 405, 413, 415, 422, 501})
"""The request is, not the engine; the same one would be refused again."""
_BUSY = frozenset({429})
_LIES = frozenset({401, 403, 502, 503, 504})
"""An engine that was given away as ready and is not: the keeper hears of it. Of a 500 it does not, as some engines say
so to a request that they do not understand, and nobody's requests may unload a model for all."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun. ``first`` came already; ``rest`` raises EngineBroken."""

    lease: Lease
    dialect: Dialect
    forced: Forced | None
    first: bytes
    rest: AsyncIterator[bytes]

    @property
    def chosen(self) -> Chosen:
        return self.lease.chosen


class Openings:
    def __init__(self, keeper: Keeper, engines: Engines, dialects: Dialects, cut_off: CutOff) -> None:
        self._keeper = keeper
        self._engines = engines
        self._dialects = dialects
        self._cut_off = cut_off

    async def open(
        self, stack: AsyncExitStack, asked: Asked, wish: Wish, on_wait: Callable[[Waiting], None]
    ) -> Opened:
        """Lease and connection end with ``stack``. Raises ApiError, MillwrightError."""
        try:
            return await self._try(stack, asked, wish, on_wait)
        except _Failed:
            await stack.aclose()
        try:
            return await self._try(stack, asked, wish, on_wait)
        except _Failed as error:
            raise error.told from error

    async def _try(
        self, stack: AsyncExitStack, asked: Asked, wish: Wish, on_wait: Callable[[Waiting], None]
    ) -> Opened:
        lease = await stack.enter_async_context(self._keeper.lease(wish, on_wait))
        granted = lease.granted
        await self._refuse_outside(lease.chosen.engine)
        dialect = self._dialects(lease.chosen.engine)
        body = asked.body(dialect, granted.served_name, granted.context)
        try:
            reply = await self._engines.post(stack, granted, asked.path, body)
            if reply.status != 200:
                raise await _refused(reply, dialect, lease)
            first = await anext(reply.pieces, b"")
            if not first:
                raise EngineBroken("the engine broke off")
        except EngineBroken as error:
            lease.failed(str(error))
            raise _Failed(engine_failed(f"{lease.chosen.model}: {error}")) from error
        return Opened(lease, dialect, asked.enforced_here(dialect), first, reply.pieces)

    async def _refuse_outside(self, engine: EngineKind) -> None:
        if engine is EngineKind.REMOTE and await self._cut_off():
            raise cut()


def cut() -> ApiError:
    return ApiError(
        503, "the all-stop is engaged: nothing leaves the box", "server_error", code="allstop.engaged"
    )


def unreadable(chosen: Chosen, said: str) -> str:
    return f"{chosen.model}: the engine can make nothing of the answer: {said[:300]}"


class _Failed(Exception):
    """This lease came to nothing. ``told``: to the client, where the next one does not either."""

    def __init__(self, told: ApiError) -> None:
        super().__init__(told.message)
        self.told = told


async def _refused(reply: Reply, dialect: Dialect, lease: Lease) -> Exception:
    said = dialect.refusal(reply.status, await reply.refusal())
    if reply.status >= 500 and dialect.blames_answer(said):
        lease.done(0)
        return answer_bad(unreadable(lease.chosen, said))
    if reply.status in _AT_FAULT:
        return invalid(said, code="model.refused")
    if reply.status in _BUSY:
        return _Failed(
            ApiError(429, said, "rate_limit_error", code="model.busy", headers=(("Retry-After", "1"),))
        )
    if reply.status in _LIES:
        lease.failed(f"status {reply.status}: {said}")
    return _Failed(engine_failed(f"{lease.chosen.model}: {said}"))
