"""The Telegram Bot API: what its answers mean. The token is part of every address."""

from typing import Any

from appliance.bridges.api import TIMEOUT, PlatformApi
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.said import say
from appliance.outbox.errors import PlatformAway


class TelegramRefused(MillwrightError):
    """The Bot API said no: ``status`` as in HTTP, with what it said about when and where to try again."""

    code = "telegram.refused"

    def __init__(
        self, status: int, description: str, retry_after: float | None = None, migrate_to: str | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.retry_after = retry_after
        self.migrate_to = migrate_to

    @property
    def is_token(self) -> bool:
        """The token is wrong or was revoked: 401, or 404 for what does not even look like one."""
        return self.status in (401, 404)


class TelegramApi:
    """One bot's door to the Bot API at ``root``, through ``proxy`` if there is one."""

    def __init__(self, token: str, root: str, proxy: str | None = None) -> None:
        self._http = PlatformApi("Telegram", root, proxy=proxy, secrets=(token,))
        self._token = token

    async def close(self) -> None:
        await self._http.close()

    async def call(
        self, method: str, parameters: JsonObject | None = None, timeout: float = TIMEOUT, files: Any = None
    ) -> JsonValue:
        """The ``result`` of a method. Raises PlatformAway, TelegramRefused."""
        given = {key: value for key, value in (parameters or {}).items() if value is not None}
        told: dict[str, Any] = {"json": given} if files is None else {"data": given, "files": files}
        answer = await self._http.request("POST", f"/bot{self._token}/{method}", timeout=timeout, **told)
        if "ok" not in answer.fields:
            raise PlatformAway(
                say("Telegram cannot be reached: the answer is not the Bot API's"), maybe_sent=True
            )
        if answer.fields["ok"] is True:
            return answer.fields.get("result")
        raise self._refused(answer.status, answer.fields)

    def _refused(self, status: int, answer: JsonObject) -> TelegramRefused:
        given = answer.get("parameters")
        parameters = given if isinstance(given, dict) else {}
        retry_after, migrate_to = parameters.get("retry_after"), parameters.get("migrate_to_chat_id")
        code = answer.get("error_code")
        return TelegramRefused(
            code if isinstance(code, int) else status,
            self._http.redact(str(answer.get("description") or "refused"))[:300],
            float(retry_after) if isinstance(retry_after, int | float) else None,
            str(migrate_to) if migrate_to is not None else None,
        )
