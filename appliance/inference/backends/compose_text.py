"""A plan as a compose file: what guard makes of it, for people who run the engine themselves, or want to see it."""

import yaml

from appliance.inference.backends.contract import Plan
from appliance.inference.errors import ModelRefused
from appliance.sandbox.docker.model_blueprint import CACHE, MODELS, WORK

_GIB = 1 << 30


def compose_text(plan: Plan) -> str:
    """Text of a ``compose.yaml`` with one service and the engine's files. Raises ModelRefused for what is no container.

    It publishes its port on this machine alone. The engine's own list of system calls takes the place of the box's.
    """
    if not plan.image:
        raise ModelRefused(
            f"{plan.model.name} is served by a process, not by a container",
            hint="there is nothing to compose",
        )
    name = plan.model.name
    service: dict[str, object] = {
        "image": plan.image,
        "entrypoint": [plan.argv[0]],
        "command": list(plan.argv[1:]),
        "environment": dict(sorted(plan.environment.items())),
        "volumes": [f"{plan.folder}:{MODELS}/{name}:ro", f"cache:{CACHE}"],
        "configs": [{"source": _config(file), "target": f"{WORK}/{file}"} for file in plan.files],
        "ports": [f"127.0.0.1:{plan.port}:{plan.port}"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": ["/tmp:exec,size=2g"],  # noqa: S108 - inside the container
        "shm_size": plan.shared_memory,
        "mem_limit": plan.footprint.memory + plan.shared_memory + plan.model.size + 2 * _GIB,
        "pids_limit": 4096,
        "ulimits": {"memlock": -1, "stack": 64 << 20, "core": 0},
        "init": True,
        "restart": "no",
        "healthcheck": {"disable": True},
        "logging": {"driver": "json-file", "options": {"max-size": "20m", "max-file": "3"}},
        **_device(plan),
    }
    files = {_config(file): {"content": text} for file, text in plan.files.items()}
    whole = {"services": {name: service}, "configs": files, "volumes": {"cache": {}}}
    head = f"# {name}@{plan.model.version} on {plan.profile.engine.value}; plan {plan.digest[:12]}\n"
    return head + yaml.safe_dump(whole, sort_keys=False, width=120)


def _config(file: str) -> str:
    return file.replace(".", "-")


def _device(plan: Plan) -> dict[str, object]:
    device = plan.accelerator
    if device is None:
        return {}
    if device.cdi:
        return {"devices": [device.cdi]}
    if device.vendor.value == "nvidia":
        wanted = {"driver": "nvidia", "device_ids": [device.id], "capabilities": ["gpu"]}
        return {"deploy": {"resources": {"reservations": {"devices": [wanted]}}}}
    return {"devices": [f"{node}:{node}" for node in device.nodes]}
