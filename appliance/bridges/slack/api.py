"""One token's door to Slack's Web API. The token is in a header, never in an address."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from appliance.bridges.api import TIMEOUT, PlatformApi
from appliance.bridges.slack.answers import PATIENCE, meaning
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, PlatformAway

UPLOAD_TIMEOUT = 60.0
BOT_REFUSED = gettext_noop("Slack refuses the bot token")
APP_REFUSED = gettext_noop("Slack refuses the app-level token")


class SlackApi:
    """``refused`` is what people read when the token is not taken."""

    def __init__(self, token: str, root: str, proxy: str | None, refused: str = BOT_REFUSED) -> None:
        self._http = PlatformApi("Slack", root, proxy=proxy, secrets=(token,))
        self._headers = {"authorization": f"Bearer {token}"}
        self._refused = refused

    async def close(self) -> None:
        await self._http.close()

    async def call(
        self,
        method: str,
        told: JsonObject | None = None,
        *,
        form: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> JsonObject:
        """What a method answers, told as JSON or as a form. Raises DeliveryError."""
        answer = await self._http.request(
            "POST", f"/{method}", json=told, data=form, headers=self._headers, timeout=timeout
        )
        if answer.status == 429:
            raise DeliveryDeferred("Slack asks for patience", retry_after=answer.retry_after or PATIENCE)
        if "ok" not in answer.fields:
            raise PlatformAway("Slack cannot be reached: the answer is not the Web API's", maybe_sent=True)
        if answer.fields["ok"] is True:
            return answer.fields
        code = self._http.redact(str(answer.fields.get("error")))[:100]
        raise meaning(answer.fields, code, self._refused, answer.retry_after)

    async def upload(self, address: str, content: bytes) -> None:
        """Give a file's bytes to the address that Slack made for it; it needs no token. Raises DeliveryError."""
        answer = await self._http.request(
            "POST",
            address,
            content=content,
            headers={"content-type": "application/octet-stream"},
            timeout=UPLOAD_TIMEOUT,
        )
        if answer.status == 429:
            raise DeliveryDeferred("Slack asks for patience", retry_after=answer.retry_after or PATIENCE)
        if answer.status == 413:
            raise DeliveryRefused("the file is too large for Slack")
        if answer.status != 200:
            raise PlatformAway(f"Slack does not take the file (status {answer.status})")
