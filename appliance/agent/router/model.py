"""A leased model that names intents: temperature 0, an answer of a closed form, one sentence at a time."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, cast

import httpx

from appliance.agent.router.domain import Meaning
from appliance.agent.router.interpreting import Asked, instructions, meaning_of, schema
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.believing import believed
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.control_tokens import without_control_tokens
from appliance.inference.domain import Need, Work
from appliance.inference.errors import ModelRefused, ModelUnavailable
from appliance.inference.leases import Chosen, Wish
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.priority import Priority

PATIENCE = 30.0
MOST_TOKENS = 120
BYTES_A_TOKEN = 2.5


@dataclass(frozen=True, slots=True)
class Understood:
    """``meaning`` None: it says that the sentence means none of them. ``seconds`` with the wait for the model."""

    meaning: Meaning | None
    chosen: Chosen
    seconds: float


class ModelInterpreter:
    """``model`` by name, or empty: the selection matrix chooses by the work, classification.

    ``pinned`` is the digest that it has to have; ``patience`` is seconds for everything, the wait for a model too.
    """

    def __init__(
        self,
        client: KeeperClient,
        *,
        model: str = "",
        pinned: str = "",
        principal: str = "box",
        patience: float = PATIENCE,
        priority: Priority = Priority.NORMAL,
    ) -> None:
        self._client = client
        self._wish = Wish(
            model=model,
            work=Work.CLASSIFICATION,
            needs=frozenset({Need.JSON}),
            priority=priority,
            deadline=patience,
            principal=principal,
            pinned=pinned,
        )

    def interpret(self, asked: Asked) -> Meaning | None:
        """Raises ModelUnavailable, ModelUnknown, ModelBusy, ModelRefused. Not in an event loop's thread."""
        return self.ask(asked).meaning

    def ask(self, asked: Asked) -> Understood:
        """As ``interpret``, with which model it was and what it took."""
        return asyncio.run(self._in_time(asked))

    async def _in_time(self, asked: Asked) -> Understood:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._wish.deadline):
                said, chosen = await self._said(asked)
        except TimeoutError:
            raise ModelUnavailable(f"the model gave no answer within {self._wish.deadline:g} s") from None
        return Understood(_read(said, asked), chosen, time.monotonic() - began)

    async def _said(self, asked: Asked) -> tuple[Any, Chosen]:
        body = _body(asked)
        tokens = int(len(json.dumps(body).encode()) / BYTES_A_TOKEN) + MOST_TOKENS
        async with self._client.lease(self._wish.model_copy(update={"tokens": tokens})) as lease:
            said = await _answered(lease, body)
            lease.done(MOST_TOKENS)
            return said, lease.chosen


async def _answered(lease: Lease, body: JsonObject) -> Any:
    """A proxy of the environment has no part in it."""
    granted = lease.granted
    dialect = dialect_of(granted.chosen.engine)
    shaped = dialect.shape({"model": granted.served_name, **body})
    sent = {key: value for key, value in shaped.items() if key in dialect.fields}
    headers = {"Authorization": f"Bearer {granted.key}"} if granted.key else {}
    async with httpx.AsyncClient(
        base_url=granted.url,
        headers=headers,
        timeout=PATIENCE,
        trust_env=False,
        verify=believed(granted.url),
    ) as engine:
        try:
            answer = await engine.post("/v1/chat/completions", json=sent)
            if 400 <= answer.status_code < 500:
                said = dialect.refusal(answer.status_code, answer.content)
                raise ModelRefused(f"the model's engine refuses the question: {said}")
            answer.raise_for_status()
            return answer.json()["choices"][0]["message"]["content"]
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            lease.failed(type(error).__name__)
            raise ModelUnavailable(f"the model gave no answer: {type(error).__name__}") from error


def _body(asked: Asked) -> JsonObject:
    form = {"name": "intent", "schema": schema(asked), "strict": True}
    return {
        "messages": [
            {"role": "system", "content": instructions(asked)},
            {"role": "user", "content": without_control_tokens(asked.text)},
        ],
        "temperature": 0,
        "max_tokens": MOST_TOKENS,
        "response_format": {"type": "json_schema", "json_schema": cast(JsonValue, form)},
    }


def _read(said: Any, asked: Asked) -> Meaning | None:
    """What is cut off or of another form is no answer: the model did not know, and a person is asked."""
    try:
        return meaning_of(json.loads(said), asked)
    except (ValueError, TypeError, RecursionError):
        return None
