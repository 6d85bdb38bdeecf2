"""A real answer of an engine, as small as can be: one that says it is well may lie."""

import ssl
from collections.abc import Mapping

import httpx

from appliance.inference.backends.calling import Calls
from appliance.inference.backends.contract import Backend, Running
from appliance.inference.domain import EngineKind
from appliance.inference.scheduling.ports import Served

_WITHIN = 60.0
_QUESTION = "Reply with OK."


class Completion:
    """The keeper's ``Trial``. ``trusted``: whom to believe of engines elsewhere."""

    def __init__(
        self,
        backends: Mapping[EngineKind, Backend],
        *,
        within: float = _WITHIN,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._backends = backends
        self._calls = Calls(within, trusted)

    async def close(self) -> None:
        await self._calls.close()

    async def completes(self, served: Served, running: Running) -> str:
        """Empty where an answer came; else what went wrong, in words."""
        path, body = _asked(served, running.served_as or served.manifest.name)
        headers = {"Authorization": f"Bearer {running.key}"} if running.key else {}
        try:
            answer = await self._calls.post(f"{running.url}{path}", body, headers)
        except httpx.TimeoutException:
            return "no answer to a request of one token within a minute"
        except httpx.HTTPError as error:
            return f"the connection broke: {type(error).__name__}"
        if answer.status_code != httpx.codes.OK:
            dialect = self._backends[served.profile.engine].dialect
            return dialect.refusal(answer.status_code, answer.content)
        return "" if _holds(served, answer) else "the answer holds neither text nor a vector"


def _asked(served: Served, name: str) -> tuple[str, dict[str, object]]:
    if served.manifest.embeddings:
        return "/v1/embeddings", {"model": name, "input": "OK"}
    message = {"role": "user", "content": _QUESTION}
    body = {"model": name, "messages": [message], "max_tokens": 1, "temperature": 0}
    return "/v1/chat/completions", body


def _holds(served: Served, answer: httpx.Response) -> bool:
    try:
        body = answer.json()
        if served.manifest.embeddings:
            return len(body["data"][0]["embedding"]) > 0
        return body["usage"]["completion_tokens"] >= 1 or bool(body["choices"][0]["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return False
