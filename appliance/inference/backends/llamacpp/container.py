"""llama.cpp in a container, for devices that the wheel was not built for: there are images for CUDA, ROCm, Vulkan, …"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from appliance.inference.backends.containers import Containers
from appliance.inference.backends.contract import (
    BackendContext,
    Footprint,
    Plan,
    Profile,
    Readiness,
    Running,
    Stats,
)
from appliance.inference.backends.fitting import cache_environment, images_of
from appliance.inference.backends.llamacpp.figures import stats_of
from appliance.inference.backends.llamacpp.planning import ALL_LAYERS, check, options_of
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.hardware.domain import Accelerator, Hardware, Vendor
from appliance.inference.scheduling.memory import estimate
from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.model_blueprint import MODELS

ENGINE = "llamacpp"
PORT = 8080
"""Another one would have the image's own check of its health say that it is ill."""


class LlamaCppContainers:
    """``serves`` says whether a model on that device is for a container."""

    def __init__(self, context: BackendContext) -> None:
        self._containers = Containers(context.guard, context.home_id, ENGINE, loading_is_503=True)
        self._images: Sequence[ModelImage] = images_of(context.settings, ENGINE)

    def serves(self, profile: Profile, hardware: Hardware) -> bool:
        device = _device(profile, hardware)
        return device is not None and self._image_for(device) is not None

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        """Raises ModelRefused."""
        check(model, profile)
        device = _device(profile, hardware)
        image = self._image_for(device) if device else None
        assert image is not None
        return Plan(
            model=model,
            folder=folder,
            profile=profile,
            footprint=learned or estimate(model, profile),
            argv=_argv(model, profile),
            environment=cache_environment(),
            image=image.image,
            port=PORT,
            accelerator=device,
        )

    def _image_for(self, device: Accelerator) -> ModelImage | None:
        amd = device.vendor is Vendor.AMD
        return next((one for one in self._images if ("rocm" in one.flags) is amd), None)

    async def start(self, plan: Plan, generation: int) -> Running:
        return await self._containers.ensure(plan, generation)

    async def ready(self, running: Running) -> Readiness:
        return await self._containers.ready(running)

    async def stop(self, running: Running, grace: float) -> None:
        await self._containers.stop(running, grace)

    async def stats(self, running: Running) -> Stats:
        page = await self._containers.page(f"{running.url}/metrics")
        found = stats_of(page.text) if page is not None and page.is_success else Stats()
        return replace(found, memory=await self._containers.memory(running))

    async def found(self) -> list[Running]:
        return await self._containers.found()

    async def close(self) -> None:
        await self._containers.close()


def _device(profile: Profile, hardware: Hardware) -> Accelerator | None:
    return next((one for one in hardware.accelerators if one.id == profile.device), None)


def _argv(model: Manifest, profile: Profile) -> tuple[str, ...]:
    options = options_of(profile)
    words = ["/app/llama-server", "-m", f"{MODELS}/{model.name}/{model.main}", "--alias", model.name]
    words += ["--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - inside the container
    # llama.cpp's figure is that of all slots together.
    words += ["-c", str(profile.context * profile.slots), "--parallel", str(profile.slots)]
    words += ["-ngl", str(options.get("gpu_layers", ALL_LAYERS))]
    if "threads" in options:
        words += ["--threads", str(options["threads"])]
    if model.embeddings:
        words.append("--embeddings")
    # No guess at what would fit, no page that shows prompts, and not the instruction with which builds died (#20824).
    return (*words, "--fit", "off", "--metrics", "--no-slots", "--offline", "--no-ui", "--no-repack")
