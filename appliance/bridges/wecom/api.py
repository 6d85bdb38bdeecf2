"""The WeCom server API: an app's access token, and calls with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from appliance.bridges.api import PlatformApi
from appliance.bridges.messages import Attachment
from appliance.bridges.wecom.refusals import TokenRefused, code_of, refusal, text_in
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, NotReady, PlatformAway

API_ROOT = "https://qyapi.weixin.qq.com"
FILE_TIMEOUT = 60.0
EARLIER = 300.0
"""Seconds before a token's end at which a new one is fetched."""
T = TypeVar("T")


class WecomHttp:
    """HTTP to WeCom, which takes its keys in the address: an app's token, a robot's key."""

    def __init__(self, root: str, *, proxy: str | None = None, secrets: tuple[str, ...] = ()) -> None:
        self._http = PlatformApi("WeCom", root, proxy=proxy, secrets=secrets)

    async def close(self) -> None:
        await self._http.close()

    def hide(self, secret: str) -> None:
        self._http.hide(secret)

    async def ask(self, method: str, path: str, query: Mapping[str, str], **more: Any) -> JsonObject:
        """All fields of a successful answer. Raises DeliveryError: TokenRefused, WecomRefused among them."""
        answer = await self._http.request(method, f"/cgi-bin/{path}", query=query, **more)
        if code_of(answer) == 0:
            return answer.fields
        raise refusal(answer, self._http.redact(str(answer.fields.get("errmsg") or "refused"))[:300])

    async def upload(self, path: str, query: Mapping[str, str], attachment: Attachment) -> str:
        """The ``media_id`` of a file, good for three days. Raises DeliveryError: nobody was sent anything yet."""
        file = (attachment.name, attachment.content, attachment.media_type)
        try:
            told = await self.ask("POST", path, query, files={"media": file}, timeout=FILE_TIMEOUT)
        except PlatformAway as error:
            error.maybe_sent = False
            raise
        return text_in(told, "media_id")


class WecomApi:
    """One app. Its token lives two hours, is fetched by one caller at a time, and rests in memory."""

    def __init__(
        self, root: str, corp_id: str, agent_id: int, secret: str, clock: Clock, proxy: str | None = None
    ) -> None:
        self.agent_id = agent_id
        self._http = WecomHttp(root, proxy=proxy, secrets=(secret,))
        self._app = {"corpid": corp_id, "corpsecret": secret}
        self._clock = clock
        self._token, self._until = "", 0.0
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        await self._http.close()

    async def post(self, path: str, told: JsonObject) -> JsonObject:
        """All fields of a successful answer. Raises DeliveryError."""
        return await self._with_token(
            lambda token: self._http.ask("POST", path, {"access_token": token}, json=told)
        )

    async def app(self) -> JsonObject:
        """What WeCom knows of the app: ``name``, ``close``. Raises DeliveryError."""
        agent = str(self.agent_id)
        return await self._with_token(
            lambda token: self._http.ask("GET", "agent/get", {"access_token": token, "agentid": agent})
        )

    async def upload(self, attachment: Attachment, kind: str) -> str:
        """The ``media_id`` of an ``image`` or a ``file``. Raises DeliveryError."""
        return await self._with_token(
            lambda token: self._http.upload("media/upload", {"access_token": token, "type": kind}, attachment)
        )

    async def _with_token(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """WeCom may end a token before its time: what it refuses for that is asked once more with a new one."""
        token = await self._valid_token()
        try:
            return await ask(token)
        except TokenRefused:
            token = await self._valid_token(refused=token)
        return await ask(token)

    async def _valid_token(self, refused: str = "") -> str:
        """The token, a new one where it is about to end or is the one that was ``refused``."""
        async with self._fetching:
            if not self._token or self._token == refused or self._clock.monotonic() >= self._until:
                await self._fetch()
            return self._token

    async def _fetch(self) -> None:
        asked = self._clock.monotonic()
        try:
            told = await self._http.ask("GET", "gettoken", self._app)
        except PlatformAway as error:
            error.maybe_sent = False  # the message itself was not on its way
            raise
        except DeliveryRefused as error:
            # An app that is refused as such has to be mended; no single message is to blame.
            raise NotReady(error.message) from error
        lifetime = told.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) else 0.0
        self._token = text_in(told, "access_token")
        self._http.hide(self._token)
        self._until = asked + max(seconds / 2, seconds - EARLIER)
