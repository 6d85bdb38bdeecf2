"""What is behind the door of ``/mcp``: the SDK's server, made and kept alive from the first program on."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from appliance.accounts.models import ApiToken
from webadmin.proxies import Scope

if TYPE_CHECKING:
    from appliance.agent.mcp.server.application import Application

log = logging.getLogger(__name__)

SESSION = b"mcp-session-id"


class Behind:
    """``make`` is called once, in a thread, for the first request."""

    def __init__(self, make: Callable[[], "Application"]) -> None:
        self._make = make
        self._made: asyncio.Future[Application] | None = None
        self._alive: asyncio.Task[None] | None = None

    async def handle(self, token: ApiToken, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request that the door has let in."""
        made = await self._application()
        from appliance.agent.mcp.server.application import CALLER  # loaded by now
        from appliance.agent.mcp.server.runs import Caller

        within = {**scope, "user": _user(token.pk), CALLER: Caller(token.principal, token.pk)}
        await made.manager.handle_request(within, receive, send)

    async def end_session(self, key: str, token_id: int) -> None:
        """As its own client would."""
        made = await self._application()
        scope = {
            "type": "http",
            "method": "DELETE",
            "path": "/mcp",
            "query_string": b"",
            "headers": [(SESSION, key.encode("latin-1"))],
            "user": _user(token_id),
        }

        async def hear() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def say(message: Any) -> None:
            """Nobody listens."""

        await made.manager.handle_request(scope, hear, say)

    async def _application(self) -> "Application":
        if self._made is None:
            self._made = asyncio.get_running_loop().create_future()
            # A task of its own: what it opens is closed by whoever opened it, and no request outlives its client.
            self._alive = asyncio.create_task(self._live(self._made))
        return await asyncio.shield(self._made)

    async def _live(self, made: "asyncio.Future[Application]") -> None:
        try:
            application = await asyncio.to_thread(self._make)
            async with application.manager.run():
                made.set_result(application)
                await asyncio.Event().wait()  # as long as the process
        except Exception as error:
            log.exception("what is behind /mcp broke")
            self._made = None
            if not made.done():
                made.set_exception(error)


def _user(token_id: int) -> Any:
    """By which the sessions of one token are nobody else's."""
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    return AuthenticatedUser(AccessToken(token="-", client_id=f"token:{token_id}", scopes=[]))  # noqa: S106 - none
