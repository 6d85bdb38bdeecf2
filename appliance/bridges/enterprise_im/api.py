"""The Feishu / Lark open API: an app's token, and calls with it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.bridges.api import TIMEOUT, Answer, PlatformApi
from appliance.bridges.enterprise_im.refusals import TOKEN_REFUSED, code_of, refusal
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryError, DeliveryRefused, NotReady, PlatformAway

TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105 - a path
ENDPOINT_PATH = "/callback/ws/endpoint"
EARLIER = 600.0
"""Seconds before a token's end at which a new one is fetched. The platform gives one in the last 30 minutes."""


class FeishuApi:
    """One self-built app. Its token lives two hours, is fetched by one caller at a time, and rests in memory."""

    def __init__(
        self, title: str, root: str, app_id: str, app_secret: str, clock: Clock, proxy: str | None = None
    ) -> None:
        self.title = title
        self.socket_schemes = ("wss",) if root.startswith("https://") else ("wss", "ws")
        self._http = PlatformApi(title, root, proxy=proxy, secrets=(app_secret,))
        self._app_id, self._app_secret = app_id, app_secret
        self._clock = clock
        self._token, self._until = "", 0.0
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        await self._http.close()

    def hide(self, secret: str) -> None:
        self._http.hide(secret)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: JsonObject | None = None,
        query: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        files: Any = None,
        timeout: float = TIMEOUT,
    ) -> JsonObject:
        """All fields of a successful answer. Raises DeliveryError."""
        token = await self._valid_token()
        for attempt in (1, 2):
            answer = await self._http.request(
                method,
                f"/open-apis{path}",
                json=json,
                query=query,
                data=data,
                files=files,
                headers={"authorization": f"Bearer {token}"},
                timeout=timeout,
            )
            if code_of(answer) == 0:
                return answer.fields
            if code_of(answer) in TOKEN_REFUSED and attempt == 1:
                token = await self._valid_token(refused=token)
                continue
            break
        raise refusal(self.title, answer, self._words(answer))

    async def endpoint(self) -> JsonObject:
        """Where the long connection goes: ``URL`` and ``ClientConfig``. Raises DeliveryError."""
        answer = await self._http.request(
            "POST",
            ENDPOINT_PATH,
            json={"AppID": self._app_id, "AppSecret": self._app_secret},
            headers={"locale": "zh"},
        )
        if code_of(answer) != 0:
            raise self._for_a_person(answer)
        data = answer.fields.get("data")
        return data if isinstance(data, dict) else {}

    async def _valid_token(self, refused: str = "") -> str:
        """The token, a new one where it is about to end or is the one that was ``refused``."""
        async with self._fetching:
            if not self._token or self._token == refused or self._clock.monotonic() >= self._until:
                try:
                    await self._fetch()
                except PlatformAway as error:
                    error.maybe_sent = False  # the message itself was not on its way
                    raise
            return self._token

    async def _fetch(self) -> None:
        asked = self._clock.monotonic()
        answer = await self._http.request(
            "POST", TOKEN_PATH, json={"app_id": self._app_id, "app_secret": self._app_secret}
        )
        token, lifetime = answer.fields.get("tenant_access_token"), answer.fields.get("expire")
        if code_of(answer) != 0 or not isinstance(token, str) or not token:
            raise self._for_a_person(answer)
        seconds = float(lifetime) if isinstance(lifetime, int | float) else 0.0
        self._http.hide(token)
        self._token, self._until = token, asked + max(seconds / 2, seconds - EARLIER)

    def _words(self, answer: Answer) -> str:
        return self._http.redact(str(answer.fields.get("msg") or "refused"))[:300]

    def _for_a_person(self, answer: Answer) -> DeliveryError:
        """What is refused is the app itself: somebody has to mend it, and no message is to blame."""
        error = refusal(self.title, answer, self._words(answer))
        if isinstance(error, DeliveryRefused):
            return NotReady(
                f"{self.title} refuses the app's id or secret ({error.message})",
                hint="enter them again on the platform page",
            )
        return error
