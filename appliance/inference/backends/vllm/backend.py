"""vLLM: a checkpoint as it is, on NVIDIA's or AMD's devices, in a container; which of them, its image says."""

from dataclasses import replace
from pathlib import Path

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
    Stats,
)
from appliance.inference.backends.fitting import images_of, no_image
from appliance.inference.backends.prometheus import figures
from appliance.inference.backends.vllm.dialect import DIALECT
from appliance.inference.backends.vllm.planning import ENGINE, FORMATS, OPTIONS, plan
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind
from appliance.inference.errors import EngineAbsent
from appliance.inference.hardware.domain import Accelerator, Hardware, Vendor
from appliance.lib.model_images import ModelImage


class VLlm:
    kind = EngineKind.VLLM
    formats = FORMATS
    dialect = DIALECT

    def __init__(self, context: BackendContext) -> None:
        self._containers = Containers(context.guard, context.home_id, ENGINE)
        self._images = images_of(context.settings, ENGINE)

    async def probe(self) -> Probe:
        if not self._images:
            return Probe(False, *no_image(ENGINE))
        reason, hint = await self._containers.why_not()
        return Probe(not reason, reason, hint, self._images[0].version)

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        device = next((one for one in hardware.accelerators if one.id == profile.device), None)
        return plan(model, folder, profile, hardware, learned, self._image_for(device))

    def _image_for(self, device: Accelerator | None) -> ModelImage:
        """One for the device's vendor; else any, of which the plan says why it does not do."""
        if not self._images:
            reason, hint = no_image(ENGINE)
            raise EngineAbsent(reason, hint=hint)
        amd = device is not None and device.vendor is Vendor.AMD
        fitting = (one for one in self._images if ("rocm" in one.flags) is amd)
        return next(fitting, self._images[0])

    async def start(self, plan: Plan, generation: int) -> Running:
        return await self._containers.ensure(plan, generation)

    async def ready(self, running: Running) -> Readiness:
        return await self._containers.ready(running)

    async def stop(self, running: Running, grace: float) -> None:
        await self._containers.stop(running, grace)

    async def stats(self, running: Running) -> Stats:
        page = await self._containers.page(f"{running.url}{self.dialect.prometheus}")
        found = _stats(page.text) if page is not None and page.is_success else Stats()
        return replace(found, memory=await self._containers.memory(running))

    async def found(self) -> list[Running]:
        return await self._containers.found()

    async def close(self) -> None:
        """The engines go on, for the next keeper."""
        await self._containers.close()


def _stats(text: str) -> Stats:
    given = figures(text)

    def whole(name: str) -> int | None:
        return int(given[name]) if name in given else None

    return Stats(
        running=whole("vllm:num_requests_running"),
        waiting=whole("vllm:num_requests_waiting"),
        prompt_tokens=whole("vllm:prompt_tokens_total"),
        generated_tokens=whole("vllm:generation_tokens_total"),
        cache_use=given.get("vllm:kv_cache_usage_perc"),
    )


BACKEND = BackendFactory(EngineKind.VLLM, "vLLM", FORMATS, VLlm, OPTIONS)
