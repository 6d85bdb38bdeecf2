"""A plan as a compose file: what guard makes of it, for people who run the engine themselves, or want to see it."""

import yaml

from appliance.inference.backends.contract import Plan
from appliance.inference.errors import ModelRefused
from appliance.sandbox.docker.model_blueprint import CACHE, MODELS, WORK

_GIB = 1 << 30


_HEAD = """# {model} on {engine}; plan {plan}
# What guard would make of it on this box, but that the port is published, on this machine alone, and that the container
# engine's own list of system calls takes the place of the box's. {needs}
"""
_INSIDE = "The engine's files stand in it: that needs Docker Compose 2.23.1 or newer."
_BESIDE = "For Docker Compose 2, and for docker-compose from 1.28 on."


def compose_text(plan: Plan, beside: str = "") -> str:
    """Text of a ``compose.yaml`` with one service. Raises ModelRefused for what is no container.

    ``beside``: a folder, relative to the file's own, in which the engine's files lie; empty: they stand in it.
    """
    if not plan.image:
        raise ModelRefused(
            f"{plan.model.name} is served by a process, not by a container",
            hint="there is nothing to compose",
        )
    name = plan.model.name
    files = {} if beside else plan.files
    service: dict[str, object] = {
        "image": plan.image,
        "entrypoint": [plan.argv[0]],
        "command": list(plan.argv[1:]),
        "environment": dict(sorted(plan.environment.items())),
        "volumes": [
            f"{plan.folder}:{MODELS}/{name}:ro",
            f"cache:{CACHE}",
            *(f"./{beside}/{file}:{WORK}/{file}:ro" for file in plan.files if beside),
        ],
        **(
            {"configs": [{"source": _config(one), "target": f"{WORK}/{one}"} for one in files]}
            if files
            else {}
        ),
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
    whole: dict[str, object] = {"services": {name: service}, "volumes": {"cache": {}}}
    if files:
        whole["configs"] = {_config(one): {"content": text} for one, text in files.items()}
    head = _HEAD.format(
        model=f"{name}@{plan.model.version}",
        engine=plan.profile.engine.value,
        plan=plan.digest[:12],
        needs=_INSIDE if files else _BESIDE,
    )
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
