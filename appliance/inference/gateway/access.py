"""Who calls: the bearer of a token that may use models. What was found counts for a few seconds, no longer."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.inference.gateway.errors import ApiError
from appliance.lib.clock import Clock

Authenticate = Callable[[str], Awaitable[Principal | None]]
"""The principal of a live token's text, looked up anew; None for what is none."""

GOOD_FOR = 3.0
"""Seconds. A token that was revoked is of no use after these and one beat of an answer under way."""
_MOST = 1000


class Access:
    def __init__(self, authenticate: Authenticate, clock: Clock) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._known: dict[bytes, tuple[float, asyncio.Task[Principal | None]]] = {}

    async def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, Principal]:
        """The token's text and whose it is. Raises ApiError with 401 or 403."""
        text = _bearer(headers)
        if text is None:
            raise _unknown("this needs a token: Authorization: Bearer mw_…")
        principal = await self._principal(text)
        if principal is None:
            raise _unknown("the token is not known, or has ended")
        if not principal.can(Ability.USE_MODELS):
            raise ApiError(
                403, f"{principal.name} has no right to use models", "permission_error", code="use_models"
            )
        return text, principal

    async def still(self, text: str) -> bool:
        """Whether the token of an answer under way may still use models."""
        principal = await self._principal(text)
        return principal is not None and principal.can(Ability.USE_MODELS)

    async def _principal(self, text: str) -> Principal | None:
        """Those who ask at the same time wait for the same look-up."""
        digest, now = hashlib.sha256(text.encode("utf-8", "replace")).digest(), self._clock.monotonic()
        known = self._known.get(digest)
        if known is None or now - known[0] >= GOOD_FOR:
            self._make_room(now)
            known = now, asyncio.ensure_future(self._authenticate(text))
            self._known[digest] = known
        try:
            return await asyncio.shield(known[1])
        except BaseException:
            if known[1].done() and self._known.get(digest) is known:
                del self._known[digest]
            raise

    def _make_room(self, now: float) -> None:
        if len(self._known) >= _MOST:
            self._known = {k: v for k, v in self._known.items() if now - v[0] < GOOD_FOR}
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """None for none, and for two different ones."""
    found = {
        value[len(b"bearer ") :].strip().decode("latin-1")
        for name, value in headers
        if name == b"authorization" and value.lower().startswith(b"bearer ")
    }
    return found.pop() or None if len(found) == 1 else None


def _unknown(message: str) -> ApiError:
    challenge = (("WWW-Authenticate", 'Bearer realm="millwright"'),)
    return ApiError(401, message, "authentication_error", code="invalid_api_key", headers=challenge)
