"""DingTalk's OpenAPI. An app's token is kept until shortly before its end; a refused one is fetched anew, once."""

import asyncio
import time

from appliance.bridges.api import Answer, PlatformApi
from appliance.bridges.dingtalk.errors import TITLE, not_its_own, refusal, refuses_token
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import NotReady

ROOT = "https://api.dingtalk.com"
TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105 - the header's name
EARLY = 300.0
"""Seconds before its end in which a token is not used any more."""


class OpenApi:
    """One app's door. ``refused`` says what a person has to mend while its secret is not taken."""

    def __init__(self, client_id: str, client_secret: str, root: str, proxy: str | None = None) -> None:
        self._id, self._secret = client_id, client_secret
        self._http = PlatformApi(TITLE, root, proxy=proxy, secrets=(client_secret,))
        self._fetching = asyncio.Lock()
        self._token, self._until = "", 0.0
        self.root = root
        self.refused = ""

    async def close(self) -> None:
        await self._http.close()

    def hide(self, secret: str) -> None:
        self._http.hide(secret)

    def redact(self, text: str) -> str:
        return self._http.redact(text)

    async def call(self, path: str, body: JsonObject) -> JsonObject:
        """The fields of an answer that is not an error. Raises DeliveryError."""
        token = await self._fresh_token()
        answer = await self._post(path, body, {TOKEN_HEADER: token})
        if refuses_token(answer):
            token = await self._fresh_token(refused=token)
            answer = await self._post(path, body, {TOKEN_HEADER: token})
        return self._taken(answer)

    async def open_connection(self, subscriptions: JsonObject) -> JsonObject:
        """Endpoint and ticket of a long connection; asked for with the secret itself. Raises DeliveryError."""
        body = {"clientId": self._id, "clientSecret": self._secret, **subscriptions}
        return self._proof(await self._post("/v1.0/gateway/connections/open", body, {}))

    async def log_in(self) -> None:
        """A round trip that proves the secret. Raises DeliveryError."""
        await self._fresh_token(refused=self._token)

    async def _fresh_token(self, refused: str = "") -> str:
        async with self._fetching:
            # Somebody else may have fetched another one while this one waited.
            if self._token and self._token != refused and time.monotonic() < self._until:
                return self._token
            answer = await self._post(
                "/v1.0/oauth2/accessToken", {"appKey": self._id, "appSecret": self._secret}, {}
            )
            fields = self._proof(answer)
            token, lasts = fields.get("accessToken"), fields.get("expireIn")
            if not isinstance(token, str) or not token or not isinstance(lasts, int):
                raise not_its_own()
            self.hide(token)
            self._token, self._until = token, time.monotonic() + max(1.0, lasts - EARLY)
            return token

    def _proof(self, answer: Answer) -> JsonObject:
        """As ``_taken``, for what was asked with the secret itself."""
        try:
            fields = self._taken(answer)
        except NotReady as error:
            self.refused = error.message
            raise
        self.refused = ""
        return fields

    async def _post(self, path: str, body: JsonObject, headers: dict[str, str]) -> Answer:
        return await self._http.request("POST", path, json=body, headers=headers)

    def _taken(self, answer: Answer) -> JsonObject:
        if not answer.fields and answer.status != 429:
            raise not_its_own()  # a proxy or a hotel's log-in page, whatever its status says
        if answer.status < 300 and answer.fields.get("success") is not False:
            return answer.fields
        words = answer.fields.get("message") or answer.fields.get("msg") or ""
        raise refusal(answer, self._http.redact(str(words))[:300])
