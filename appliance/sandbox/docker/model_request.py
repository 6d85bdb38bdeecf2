"""What guard can be asked about the containers of models: five verbs around one template.

Unlike a job such a container lives on when whoever asked for it, and guard itself, have gone; it is found again by its
labels. What runs in it is the engine that the box's settings name for its image, never another program.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appliance.sandbox.docker.closed import Closed, FileName, ImageName, Place, Text

CONTAINER = r"^mw-[a-z0-9]{1,20}-[a-z0-9][a-z0-9._-]{0,99}-g[1-9][0-9]{0,17}$"
"""``mw-<home>-<model>-g<generation>``."""

Name = Annotated[str, StringConstraints(pattern=CONTAINER)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Variable = Literal[
    "CUDA_VISIBLE_DEVICES",
    "DO_NOT_TRACK",
    "FLASHINFER_WORKSPACE_BASE",
    "HF_HUB_OFFLINE",
    "HIP_VISIBLE_DEVICES",
    "HOME",
    "OMP_NUM_THREADS",
    "ROCR_VISIBLE_DEVICES",
    "TLLM_AUTOTUNER_CACHE_PATH",
    "TLLM_LOG_LEVEL",
    "TLLM_WORKER_USE_SINGLE_PROCESS",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRANSFORMERS_OFFLINE",
    "TRITON_CACHE_DIR",
    "TRTLLM_NO_USAGE_STATS",
    "VLLM_NO_USAGE_STATS",
    "XDG_CACHE_HOME",
]
"""The environment of an engine; what would give it devices, libraries or a way out is not among it."""


class ModelDevice(Closed):
    """One accelerator, in each way in which an engine may be told of it; guard takes the first that it can."""

    cdi: Annotated[
        str, StringConstraints(pattern=r"^([a-z0-9.-]+/[a-z0-9_.-]+=[A-Za-z0-9:._-]{1,100})?$")
    ] = ""
    nvidia: Annotated[str, StringConstraints(pattern=r"^((GPU|MIG)-[A-Za-z0-9-]{1,80})?$")] = ""
    """A GPU's UUID: numbers can change at a restart."""
    nodes: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^/dev/(kfd|dri/(card|renderD)[0-9]{1,3})$")], ...],
        Field(max_length=16),
    ] = ()


class ModelStart(Closed):
    """Make an engine's container and start it; the same once more is the same container.

    ``plan`` names what it was made for, and is told again. Sizes are bytes; ``files`` lie in ``/work``.
    """

    verb: Literal["model_start"]
    model: ModelName
    generation: int = Field(ge=1, le=10**18 - 1)
    plan: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    image: ImageName
    argv: tuple[Text, ...] = Field(min_length=1, max_length=256)
    env: dict[Variable, Text]
    folder: Place
    files: dict[FileName, Text] = Field(default={}, max_length=8)
    port: int = Field(ge=1024, le=65535)
    memory: int = Field(ge=64 << 20, le=1 << 50)
    shared_memory: int = Field(default=64 << 20, ge=1 << 20, le=64 << 30)
    device: ModelDevice | None = None


class ModelStop(Closed):
    """Ask it to end, wait ``grace`` seconds, kill it, and take it away with all but its cache."""

    verb: Literal["model_stop"]
    name: Name
    grace: float = Field(ge=0, le=60, allow_inf_nan=False)


class ModelLook(Closed):
    """How it is; ``stats``: also how much memory it has, which takes longer."""

    verb: Literal["model_look"]
    name: Name
    stats: bool = False


class ModelList(Closed):
    """All of this home, also those that have ended."""

    verb: Literal["model_list"]


class ModelLog(Closed):
    """The last lines that it wrote."""

    verb: Literal["model_log"]
    name: Name
    lines: int = Field(default=100, ge=1, le=1000)


ModelRequest = ModelStart | ModelStop | ModelLook | ModelList | ModelLog
