"""One prompt through a lease, as text comes: to see that a model answers."""

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.inference.believing import believed
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.errors import ModelAnswerBad, ModelRefused, ModelUnavailable
from appliance.inference.hearing import NO_ANSWER
from appliance.inference.leases import Chosen, Waiting, Wish
from appliance.lib.priority import Priority

MOST_TOKENS = 512
LONGEST_PROMPT = 8000
LONGEST_ANSWER = 100_000
"""Characters: some engines do not keep to a number of tokens."""
WITHIN = 180.0
"""Seconds for a model to be there; an answer may take as long again."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer. ``chosen`` stands in the first one; ``tokens`` and ``seconds`` are those so far."""

    text: str
    tokens: int
    seconds: float
    chosen: Chosen | None = None


def ask(
    keeper: KeeperClient,
    prompt: str,
    by: Principal,
    *,
    model: str = "",
    on_wait: Callable[[Waiting], None] | None = None,
) -> AsyncIterator[Piece]:
    """The answer, piece by piece. Raises NotAllowed, ModelUnknown, ModelRefused, ModelBusy, ModelUnavailable."""
    by.require(Ability.USE_MODELS)
    if not prompt.strip() or len(prompt) > LONGEST_PROMPT:
        raise ModelRefused(f"a prompt has 1 to {LONGEST_PROMPT} characters")
    return _asked(keeper, prompt, by, model, on_wait)


async def _asked(
    keeper: KeeperClient, prompt: str, by: Principal, model: str, on_wait: Callable[[Waiting], None] | None
) -> AsyncIterator[Piece]:
    wish = Wish(model=model, principal=by.name, priority=Priority.HIGH, deadline=WITHIN)
    async with keeper.lease(wish, on_wait) as lease:
        tokens, size, began = 0, 0, time.monotonic()
        yield Piece("", 0, 0.0, lease.chosen)
        try:
            async for text in _answer(lease, prompt):
                tokens, size = tokens + 1, size + len(text)
                if size > LONGEST_ANSWER:
                    raise ModelAnswerBad(f"the answer is longer than {LONGEST_ANSWER} characters")
                lease.beat(tokens)
                yield Piece(text, tokens, time.monotonic() - began)
        except httpx.HTTPError as error:
            lease.failed(f"the connection broke: {type(error).__name__}")
            raise ModelUnavailable(f"{lease.chosen.model} broke off: {type(error).__name__}") from error
        except NO_ANSWER as error:
            lease.failed(f"what nobody understands: {error}")
            raise ModelUnavailable(f"{lease.chosen.model} sent what nobody understands") from error
        lease.done(tokens)


async def _answer(lease: Lease, prompt: str) -> AsyncIterator[str]:
    granted = lease.granted
    body = {
        "model": granted.served_name,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": min(MOST_TOKENS, max(1, granted.context // 2)),
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {granted.key}"} if granted.key else {}
    async with (
        httpx.AsyncClient(
            timeout=WITHIN, trust_env=False, verify=believed(granted.url), headers=headers
        ) as client,
        client.stream("POST", f"{granted.url}/v1/chat/completions", json=body) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            said = (await answer.aread())[:300].decode("utf-8", "replace")
            raise ModelRefused(f"{granted.served_name} refuses: {said}")
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                yield _text(line.removeprefix("data: "))
            elif line == "data: [DONE]":
                return
    raise ModelUnavailable(f"{granted.served_name} broke off in the middle of its answer")


def _text(event: str) -> str:
    choices = json.loads(event).get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")
