"""TensorRT-LLM: a checkpoint as it is, on NVIDIA's devices, in a container. There is no engine build."""

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from appliance.inference.backends.containers import Containers
from appliance.inference.backends.contract import (
    BackendContext,
    BackendFactory,
    Footprint,
    Plan,
    Probe,
    Profile,
    Readiness,
    Running,
    Sign,
    Stats,
)
from appliance.inference.backends.fitting import images_of, no_image
from appliance.inference.backends.prometheus import figures
from appliance.inference.backends.trtllm.capabilities import TABLE, Capabilities, capabilities_of
from appliance.inference.backends.trtllm.dialect import dialect_of
from appliance.inference.backends.trtllm.planning import ENGINE, FORMATS, options_with, plan
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind
from appliance.inference.errors import EngineAbsent, ModelRefused
from appliance.inference.hardware.domain import Hardware


class _Version(BaseModel):
    version: str


class TensorRT:
    kind = EngineKind.TRTLLM
    formats = FORMATS

    def __init__(self, context: BackendContext) -> None:
        self._containers = Containers(context.guard, context.home_id, ENGINE)
        images = images_of(context.settings, ENGINE)
        self._image = images[0] if images else None
        self._wrong = ""
        self._known = TABLE[0]
        try:
            self._known = capabilities_of(self._image.version) if self._image else TABLE[0]
        except ModelRefused as error:
            self._wrong = error.message
        self.dialect = dialect_of(self._known)
        self._asked: set[str] = set()
        """Of which engines the version is known to be the one that the settings say."""

    async def probe(self) -> Probe:
        if self._image is None:
            return Probe(False, *no_image(ENGINE))
        if self._wrong:
            return Probe(False, self._wrong, "see MILLWRIGHT_MODEL_IMAGES", self._image.version)
        reason, hint = await self._containers.why_not()
        return Probe(not reason, reason, hint, self._image.version)

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        if self._image is None or self._wrong:
            reason, hint = no_image(ENGINE)
            raise EngineAbsent(self._wrong or reason, hint=hint)
        return plan(model, folder, profile, hardware, learned, self._image, self._known)

    async def start(self, plan: Plan, generation: int) -> Running:
        return await self._containers.ensure(plan, generation)

    async def ready(self, running: Running) -> Readiness:
        """Raises EngineAbsent where the image is of another version than the settings say."""
        seen = await self._containers.ready(running)
        if seen.sign is Sign.READY and running.name not in self._asked:
            await self._check_version(seen.url)
            self._asked.add(running.name)
        return seen

    async def _check_version(self, url: str) -> None:
        answer = await self._containers.page(f"{url}/version")
        if answer is None or not answer.is_success:
            return  # of what it can nothing else would change
        said = _version(answer.content)
        if said and capabilities_of(said) != self._known:
            raise EngineAbsent(
                f"the image is TensorRT-LLM {said}, and the settings say {self._image.version if self._image else '?'}",
                hint="write its version into MILLWRIGHT_MODEL_IMAGES, and start the box again",
            )

    async def stop(self, running: Running, grace: float) -> None:
        self._asked.discard(running.name)
        await self._containers.stop(running, grace)

    async def stats(self, running: Running) -> Stats:
        page = await self._containers.page(f"{running.url}{self._known.metrics}")
        found = _stats(page.text) if page is not None and page.is_success else Stats()
        return replace(found, memory=await self._containers.memory(running))

    async def found(self) -> list[Running]:
        return await self._containers.found()

    async def close(self) -> None:
        """The engines go on, for the next keeper."""
        await self._containers.close()

    @property
    def capabilities(self) -> Capabilities:
        return self._known


def _version(body: bytes) -> str:
    """Of ``{"version": "1.2.1"}``; empty where it says something else."""
    try:
        found = _Version.model_validate_json(body).version
    except ValidationError:
        return ""
    return found


def _stats(text: str) -> Stats:
    given = figures(text)

    def whole(name: str) -> int | None:
        return int(given[name]) if name in given else None

    return Stats(
        running=whole("trtllm_num_requests_running"),
        waiting=whole("trtllm_num_requests_waiting"),
        prompt_tokens=whole("trtllm_prompt_tokens_total"),
        generated_tokens=whole("trtllm_generation_tokens_total"),
        cache_use=given.get("trtllm_kv_cache_utilization"),
        device_memory=whole("trtllm_gpu_memory_usage_bytes"),
    )


_PARSERS = frozenset[str]().union(*(row.tool_parsers for row in TABLE))
BACKEND = BackendFactory(EngineKind.TRTLLM, "TensorRT-LLM", FORMATS, TensorRT, options_with(_PARSERS))
