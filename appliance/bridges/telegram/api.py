"""A thin client of the Telegram Bot API. The token is part of every address, so nothing of httpx gets out."""

import logging
import re
from typing import Any

import httpx
from socksio import ProtocolError

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue

TIMEOUT = 15.0
_TOKEN = re.compile(r"\bbot\d+:[A-Za-z0-9_-]+")
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")
# Errors before the request was on its way: the platform cannot have seen it.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class TelegramAway(MillwrightError):
    """No usable answer. ``maybe_sent``: the request may have been carried out."""

    code = "telegram.away"
    permanent = False

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


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


class _TokenFilter(logging.Filter):
    """httpx logs every request's address; the token in it is blotted out."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if _TOKEN.search(text):
            record.msg, record.args = _TOKEN.sub("bot<token>", text), None
        return True


_FILTER = _TokenFilter()


class TelegramApi:
    """One bot's door to the Bot API at ``root``, through ``proxy`` if there is one."""

    def __init__(self, token: str, root: str, proxy: str | None = None) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_FILTER)  # adding it twice changes nothing
        self._token = token
        self._base = f"{root.rstrip('/')}/bot{token}"
        self._secrets = [secret for secret in (token, proxy) if secret]
        # trust_env: a proxy of the environment is meant for other programs, never for a local stand-in.
        self._client = httpx.AsyncClient(proxy=proxy or None, trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        await self._client.aclose()

    def redact(self, text: str) -> str:
        """The text without the token and without the proxy's password."""
        for secret in self._secrets:
            text = text.replace(secret, "<hidden>")
        return _TOKEN.sub("bot<token>", text)

    async def call(
        self, method: str, parameters: JsonObject | None = None, timeout: float = TIMEOUT
    ) -> JsonValue:
        """The ``result`` of a method. Raises TelegramAway, TelegramRefused."""
        try:
            response = await self._client.post(
                f"{self._base}/{method}",
                json={key: value for key, value in (parameters or {}).items() if value is not None},
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            )
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ProtocolError, ValueError) as error:
            # The cause is not chained: its request carries the token, and tracebacks go into logs.
            raise self._away(error) from None
        if response.status_code >= 500 or not isinstance(answer, dict) or "ok" not in answer:
            raise TelegramAway(
                f"the Bot API is out of order (status {response.status_code})", maybe_sent=True
            )
        if answer["ok"] is True:
            return answer.get("result")
        raise self._refused(response.status_code, answer)

    def _away(self, error: Exception) -> TelegramAway:
        what = self.redact(str(error)) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            what = "no answer in time"
        elif isinstance(error, ValueError) and not isinstance(error, httpx.HTTPError):
            what = "the answer is not the Bot API's"
        return TelegramAway(f"Telegram cannot be reached: {what}", maybe_sent=not isinstance(error, _UNSENT))

    def _refused(self, status: int, answer: dict[str, Any]) -> TelegramRefused:
        parameters = answer.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        retry_after, migrate_to = parameters.get("retry_after"), parameters.get("migrate_to_chat_id")
        code = answer.get("error_code")
        return TelegramRefused(
            code if isinstance(code, int) else status,
            self.redact(str(answer.get("description") or "refused"))[:300],
            float(retry_after) if isinstance(retry_after, int | float) else None,
            str(migrate_to) if migrate_to is not None else None,
        )
