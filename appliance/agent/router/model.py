"""A leased model that names intents: temperature 0, an answer of a closed form, one sentence at a time."""

import asyncio
import json
from typing import Any

import httpx

from appliance.agent.router.domain import Meaning
from appliance.agent.router.interpreting import Asked, instructions, meaning_of, schema
from appliance.inference.client import KeeperClient
from appliance.inference.domain import Need, Work
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import Wish

PATIENCE = 30.0
MOST_TOKENS = 120


class ModelInterpreter:
    """``model`` by name, or empty: the selection matrix chooses by the work, classification."""

    def __init__(self, client: KeeperClient, *, model: str = "", principal: str = "box") -> None:
        self._client = client
        self._model = model
        self._principal = principal

    def interpret(self, asked: Asked) -> Meaning | None:
        """Raises ModelUnavailable, ModelUnknown, ModelBusy, ModelRefused. Not in an event loop's thread."""
        return asyncio.run(self._interpret(asked))

    async def _interpret(self, asked: Asked) -> Meaning | None:
        wish = Wish(
            model=self._model,
            work=Work.CLASSIFICATION,
            needs=frozenset({Need.JSON}),
            deadline=PATIENCE,
            principal=self._principal,
        )
        async with self._client.lease(wish) as lease:
            granted = lease.granted
            headers = {"Authorization": f"Bearer {granted.key}"} if granted.key else {}
            async with httpx.AsyncClient(
                base_url=granted.url, headers=headers, timeout=PATIENCE, trust_env=False
            ) as engine:
                try:
                    answer = await engine.post("/v1/chat/completions", json=_body(granted.served_name, asked))
                    answer.raise_for_status()
                    said = answer.json()["choices"][0]["message"]["content"]
                except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
                    lease.failed(type(error).__name__)
                    raise ModelUnavailable(f"the model gave no answer: {type(error).__name__}") from error
            lease.done(MOST_TOKENS)
        return _read(said, asked)


def _body(model: str, asked: Asked) -> dict[str, Any]:
    form = {"name": "intent", "schema": schema(asked), "strict": True}
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": instructions(asked)},
            {"role": "user", "content": asked.text},
        ],
        "temperature": 0,
        "max_tokens": MOST_TOKENS,
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def _read(said: Any, asked: Asked) -> Meaning | None:
    """What is cut off or of another form is no answer: the model did not know, and a person is asked."""
    try:
        return meaning_of(json.loads(said), asked)
    except (ValueError, TypeError):
        return None
