"""What the tools that make another model of one may have: by the box's settings, and by what they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.mounts import Allowed
from appliance.sandbox.docker.request import ModelJob
from appliance.sandbox.process.request import Refused

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "llamacpp-tools": ("python3", "/app/convert_hf_to_gguf.py"),
    "modelopt": ("python", "/opt/modelopt/examples/llm_ptq/hf_ptq.py"),
}
"""With what a command line begins, by the tool that the settings name. The second is of
github.com/NVIDIA/TensorRT-Model-Optimizer, in an image of one's own."""


@dataclass(frozen=True, slots=True)
class ModelJobs:
    """``allowed``: what may be read are this box's models and what containers may read; written, what is on its way
    to become one."""

    images: tuple[ModelImage, ...]
    allowed: Allowed

    def check(self, request: ModelJob) -> None:
        """Raises Refused."""
        settings = next((one for one in self.images if one.image == request.image), None)
        program = PROGRAMS.get(settings.engine) if settings else None
        if settings is None or program is None:
            raise Refused(
                f"The image {request.image} is none that the box's settings name for tools of models.",
                "An administrator names them, by digest, in MILLWRIGHT_MODEL_IMAGES: llamacpp-tools, modelopt.",
            )
        if request.argv[: len(program)] != program:
            raise Refused(f"An image of {settings.engine} runs `{' '.join(program)}`, and nothing else.")
