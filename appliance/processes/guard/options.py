"""What guard goes by: the box's settings, read once when it starts."""

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.config import Config, KernelRulesMode
from appliance.lib.home import Home, owner_of
from appliance.lib.model_images import ModelImage
from appliance.processes.layout import pid_folder, settings_folder
from appliance.safety.stop import StopFile
from appliance.sandbox.docker.model_jobs import ModelJobs
from appliance.sandbox.docker.mounts import Allowed
from appliance.sandbox.docker.runner import Rules

INCOMING = ".incoming"
"""Below the models, as the catalogue calls it; guard does not load that."""


@dataclass(frozen=True, slots=True)
class Options:
    """``peer_uid`` is the user whose services may ask; ``pool`` is how many containers are kept ready of each kind,
    and ``idle`` for how many seconds after a job wanted one."""

    socket: Path
    home_id: str
    engine: str
    peer_uid: int
    spawner_pid: Path
    rules: Rules
    pool: int
    idle: float
    kernel_rules: KernelRulesMode
    stop_file: StopFile
    models: Path
    """Below which the models of this box lie."""
    cache: Path
    """In which their engines keep what they compiled."""
    model_images: tuple[ModelImage, ...]
    tools: ModelJobs
    model_network: str
    """Empty: guard makes one."""


def options_of(config: Config) -> Options:
    """The options of this box's guard."""
    home, me = config.home, os.geteuid()
    uid, gid = (home.sandbox_uid, home.sandbox_uid) if me == 0 else (me, os.getegid())
    return Options(
        socket=home.guard_socket,
        home_id=home.id,
        engine=config.container_engine,
        peer_uid=owner_of(home.path)[0],
        spawner_pid=pid_folder(home) / "spawner",
        rules=Rules(
            home.id,
            uid,
            gid,
            Allowed(config.container_reads, config.container_writes, _forbidden(config, home)),
            config.container_devices,
            config.trusted_images,
        ),
        pool=config.container_pool,
        idle=float(config.container_idle),
        kernel_rules=config.kernel_rules,
        stop_file=StopFile(home.path),
        models=home.models,
        cache=config.cache,
        model_images=config.model_images,
        tools=ModelJobs(config.model_images, _of_models(config, home), home.models / INCOMING),
        model_network=config.model_network,
    )


def _of_models(config: Config, home: Home) -> Allowed:
    """What tools of models may reach: the repository, and what is on its way into it."""
    reads = (home.models, *config.container_reads, *config.container_writes)
    forbidden = [place for place in _forbidden(config, home) if place != home.path]
    own = (home.secrets, home.data, home.logs, home.cache, settings_folder(home))
    return Allowed(reads, (home.models / INCOMING,), [*forbidden, *own])


def _forbidden(config: Config, home: Home) -> list[Path]:
    engine = Path(config.container_engine.removeprefix("unix://"))
    return [
        home.path,
        home.runtime,
        engine,
        Path("/var/lib/docker"),
        Path("/var/lib/containerd"),
        Path("/etc/docker"),
    ]
