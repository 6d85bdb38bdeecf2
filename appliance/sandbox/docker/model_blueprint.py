"""How the container of a model is made: one fixed way, as code. Of a request it takes what is listed here alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.blueprint import (
    HOME_LABEL,
    TEMPLATE_LABEL,
    Device,
    Image,
    device_requests,
)
from appliance.sandbox.docker.model_request import ModelStart
from appliance.sandbox.docker.seccomp import profile

TEMPLATE = "model"
MODEL_LABEL, GENERATION_LABEL = "millwright.model", "millwright.generation"
ENGINE_LABEL, PLAN_LABEL, SPEC_LABEL = "millwright.engine", "millwright.plan", "millwright.spec"
PORT_LABEL = "millwright.port"
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "trtllm": ("trtllm-serve",),
    "vllm": ("vllm", "serve"),
    "llamacpp": ("/app/llama-server",),
}
"""With what a command line begins, by the engine that the settings name."""
MODELS, WORK, CACHE = "/models", "/engine", "/cache"
OWN = "engine"
"""The folder below the cache that the engine may write: the cache's own belongs to guard's user."""

_OUT_OF_MEMORY_SCORE = 500  # of 1000: it goes before the appliance, and after a job
_MOST_PROCESSES = 4096
_TMP_BYTES = 2 << 30
_STACK = 64 << 20
_LOCKED = 64 << 10
_OPEN_FILES = 8192


@dataclass(frozen=True, slots=True)
class ModelBlueprint:
    """``folder`` is where the model really lies, ``cache`` the image's own; ``cdi``: whether devices are known by CDI
    names."""

    request: ModelStart
    spec: str
    name: str
    home_id: str
    image: Image
    settings: ModelImage
    folder: str
    cache: str
    network: str
    uid: int
    gid: int
    cdi: bool
    devices: tuple[Device, ...] = ()

    @property
    def user(self) -> tuple[int, int]:
        return (0, 0) if "root" in self.settings.flags else (self.uid, self.gid)

    @property
    def locked(self) -> int:
        """Bytes that it may keep from being swapped out: what a device reads by itself has to stay where it is."""
        device = self.request.device
        given = device is not None and bool(device.cdi or device.nvidia or device.nodes)
        return -1 if given else _LOCKED

    @property
    def place(self) -> str:
        """Where the model lies for the engine: some call a model by the name of its folder."""
        return f"{MODELS}/{self.request.model}"


def creation(blueprint: ModelBlueprint) -> dict[str, object]:
    """The body of ``POST /containers/create``."""
    request = blueprint.request
    uid, gid = blueprint.user
    return {
        "Image": blueprint.image.id,
        "User": f"{uid}:{gid}",
        "Entrypoint": [request.argv[0]],
        "Cmd": list(request.argv[1:]),
        "WorkingDir": WORK,
        "Env": [f"{name}={value}" for name, value in sorted(request.env.items())],
        "Labels": _labels(blueprint),
        # The box looks itself: an image's own check would only colour a list.
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "Tty": False,
        "OpenStdin": False,
        "ExposedPorts": {},
        "HostConfig": _host(blueprint),
    }


def _labels(blueprint: ModelBlueprint) -> dict[str, str]:
    request = blueprint.request
    return {
        HOME_LABEL: blueprint.home_id,
        TEMPLATE_LABEL: TEMPLATE,
        MODEL_LABEL: request.model,
        GENERATION_LABEL: str(request.generation),
        ENGINE_LABEL: blueprint.settings.engine,
        PLAN_LABEL: request.plan,
        SPEC_LABEL: blueprint.spec,
        PORT_LABEL: str(request.port),
    }


def _host(blueprint: ModelBlueprint) -> dict[str, object]:
    request, flags = blueprint.request, blueprint.settings.flags
    security = ["no-new-privileges:true"]
    if "seccomp-default" not in flags:
        security.append(f"seccomp={profile()}")
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": security,
        "ReadonlyRootfs": "writable" not in flags,
        "NetworkMode": blueprint.network,
        "PortBindings": {},
        "PublishAllPorts": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Init": True,
        "AutoRemove": False,
        # The keeper decides whether it is made anew, and says why.
        "RestartPolicy": {"Name": "no"},
        "Memory": request.memory,
        "MemorySwap": request.memory,
        "OomScoreAdj": _OUT_OF_MEMORY_SCORE,
        "PidsLimit": _MOST_PROCESSES,
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "memlock", "Soft": blueprint.locked, "Hard": blueprint.locked},
            {"Name": "nofile", "Soft": _OPEN_FILES, "Hard": _OPEN_FILES},
            {"Name": "stack", "Soft": _STACK, "Hard": _STACK},
        ],
        "ShmSize": request.shared_memory,
        "Tmpfs": _folders(blueprint),
        "Mounts": _mounts(blueprint),
        "DeviceRequests": device_requests(request.device, cdi=blueprint.cdi),
        "Devices": [
            {"PathOnHost": one.path, "PathInContainer": one.path, "CgroupPermissions": "rw"}
            for one in blueprint.devices
        ],
        # Numbers: an image need not know the names of this machine's groups.
        "GroupAdd": sorted({str(one.gid) for one in blueprint.devices if one.gid}),
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "3"}},
    }


def _folders(blueprint: ModelBlueprint) -> dict[str, str]:
    """Engines compile what they then load from here, so it can be run; the memory counts as the container's."""
    options = f"rw,nosuid,nodev,exec,size={_TMP_BYTES},mode=1777"
    return dict.fromkeys((*blueprint.image.volumes, "/tmp"), options)  # noqa: S108 - inside the container


def _mounts(blueprint: ModelBlueprint) -> list[dict[str, object]]:
    home = {HOME_LABEL: blueprint.home_id}
    return [
        {
            "Type": "bind",
            "Source": blueprint.folder,
            "Target": blueprint.place,
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
        },
        {
            "Type": "bind",
            "Source": blueprint.cache,
            "Target": CACHE,
            "ReadOnly": False,
            "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
        },
        {"Type": "volume", "Target": WORK, "VolumeOptions": {"NoCopy": True, "Labels": home}},
    ]
