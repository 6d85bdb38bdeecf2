"""A model in an engine of its own for a moment, asked for single tokens: the same question gives the same answer."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from appliance.inference.backends.contract import BackendContext, Profile, Running, Sign
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelUnavailable
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.sandbox.ports import Sandbox

_CONTEXT = 512
_LOOK_EVERY, _LOADS_WITHIN, _ANSWERS_WITHIN = 0.1, 900.0, 300.0
_NAME, _VERSION, _UNHASHED = "trial", "1", "0" * 64
"""The engine looks at no digest."""


@dataclass(frozen=True, slots=True)
class Said:
    """``tokens`` by their numbers; ``seconds`` that making them took, without reading the prompt."""

    tokens: tuple[int, ...]
    seconds: float


class Asked:
    """An engine that is ready."""

    def __init__(self, running: Running) -> None:
        headers = {"Authorization": f"Bearer {running.key}"}
        # A connection for each question: llama.cpp ends one after some, also while the next question is on its way.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            base_url=running.url, headers=headers, timeout=_ANSWERS_WITHIN, trust_env=False, limits=limits
        )

    async def tokens_of(self, text: str) -> list[int]:
        answer = await self._post("/tokenize", {"content": text, "add_special": True})
        found = answer.get("tokens")
        return [one for one in found if isinstance(one, int)] if isinstance(found, list) else []

    async def goes_on(self, prompt: list[int], count: int, *, to_the_end: bool = False) -> Said:
        """The most likely tokens after ``prompt``; with ``to_the_end`` exactly so many. Raises ModelUnavailable."""
        answer = await self._post(
            "/completion",
            {
                "prompt": prompt, "n_predict": count, "temperature": 0, "seed": 0, "cache_prompt": True,
                "return_tokens": True, "ignore_eos": to_the_end,
            },
        )  # fmt: skip
        tokens, timings = answer.get("tokens"), answer.get("timings")
        spent = timings.get("predicted_ms", 0.0) if isinstance(timings, dict) else 0.0
        return Said(tuple(tokens) if isinstance(tokens, list) else (), float(spent) / 1000)

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        try:
            answer = await self._client.post(path, json=body)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ModelUnavailable(f"the engine does not answer: {error}") from error
        return found if isinstance(found, dict) else {}

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def asked(model: Path, sandbox: Sandbox, work: Path) -> AsyncIterator[Asked]:
    """The GGUF file ``model``, loaded by a confined llama.cpp. Raises ModelUnavailable, EngineAbsent, ModelRefused."""
    manifest, folder = _manifest(model), model.parent.absolute()
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    backend = LlamaCpp(BackendContext("trial", folder, work, {}, sandbox))
    context = min(_CONTEXT, manifest.context or _CONTEXT)
    profile = Profile(EngineKind.LLAMACPP, context=context)
    try:
        plan = backend.plan(manifest, folder, profile, Hardware(Processor("", cores), memory, memory), None)
        running = await backend.start(plan, 1)
        ready = await _until_ready(backend, running)
        engine = Asked(replace(running, url=ready))
        try:
            yield engine
        except ModelUnavailable as error:
            seen = await backend.ready(running)
            raise ModelUnavailable(seen.reason or error.message) from error
        finally:
            await engine.close()
            await backend.stop(running, 5.0)
    finally:
        await backend.close()


async def _until_ready(backend: LlamaCpp, running: Running) -> str:
    try:
        async with asyncio.timeout(_LOADS_WITHIN):
            while True:
                seen = await backend.ready(running)
                if seen.sign is Sign.READY:
                    return seen.url
                if seen.sign is Sign.GONE:
                    raise ModelUnavailable(f"the model cannot be loaded: {seen.reason}")
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError as error:
        raise ModelUnavailable("the model takes too long to load") from error


def _manifest(model: Path) -> Manifest:
    facts = inspect_path(model)
    files = [
        ModelFile(path=name, size=(model.parent / name).stat().st_size, sha256=_UNHASHED)
        for name in facts.files
    ]
    said = facts.model_dump(exclude={"files", "left_out"})
    return Manifest.model_validate(
        {**said, "name": _NAME, "version": _VERSION, "files": files, "added_at": datetime.now(UTC)}
    )
