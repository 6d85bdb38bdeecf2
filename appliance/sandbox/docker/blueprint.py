"""What the engine is told about a container: every key of it is written here, none is taken from a request."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.sandbox.docker.model_request import ModelDevice
from appliance.sandbox.docker.mounts import Mount
from appliance.sandbox.docker.request import JobLimits
from appliance.sandbox.docker.seccomp import profile
from appliance.sandbox.docker.templates import Template

HOME_LABEL, RUN_LABEL, STEP_LABEL = "millwright.home", "millwright.run", "millwright.step"
TEMPLATE_LABEL, LIFE_LABEL = "millwright.template", "millwright.guard"
SHELL = "/bin/sh"
WORK = "/job"

_NOBODY = "192.0.2.1"
"""An address that belongs to nobody (RFC 5737). The engine answers for the names of containers itself; all others it
would ask of the machine's resolver, and so carry out whatever a name can hold (CVE-2024-29018)."""

_OUT_OF_MEMORY_SCORE = 700  # of 1000: when memory ends, a job goes before the appliance


@dataclass(frozen=True, slots=True)
class Device:
    """A device file of the machine, and the group that may use it."""

    path: str
    gid: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image on this machine. ``volumes`` are folders that it would have on disk, outside of its own."""

    id: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that decides how a container is made. Two jobs with equal ones could use the same."""

    template: Template
    image: Image
    limits: JobLimits
    uid: int
    gid: int
    network: str
    devices: tuple[Device, ...] = ()
    accelerator: ModelDevice | None = None
    cdi: bool = False
    """Whether the engine knows devices by CDI names."""


def device_requests(device: ModelDevice | None, *, cdi: bool) -> list[dict[str, object]]:
    """How the engine is told of an accelerator; nothing where it is given by its files."""
    if device is None:
        return []
    if device.cdi and cdi:
        return [{"Driver": "cdi", "DeviceIDs": [device.cdi]}]
    if device.nvidia:
        return [{"Driver": "nvidia", "DeviceIDs": [device.nvidia], "Capabilities": [["gpu"]]}]
    return []


def creation(
    blueprint: Blueprint, labels: Mapping[str, str], mounts: Sequence[Mount] = ()
) -> dict[str, object]:
    """The body of ``POST /containers/create``."""
    template = blueprint.template
    return {
        "Image": blueprint.image.id,
        "User": f"{blueprint.uid}:{blueprint.gid}",
        "Entrypoint": [SHELL],
        "Cmd": [],
        "WorkingDir": WORK,
        "Env": ["TINI_KILL_PROCESS_GROUP=1"],
        "Labels": {**labels, TEMPLATE_LABEL: template.name},
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": template.network == "none",
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host(blueprint, mounts),
    }


def _host(blueprint: Blueprint, mounts: Sequence[Mount]) -> dict[str, object]:
    template, limits = blueprint.template, blueprint.limits
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile()}"],
        "ReadonlyRootfs": not template.writable,
        "NetworkMode": blueprint.network,
        "Dns": [_NOBODY] if template.network == "internal" else [],
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Init": True,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "OomScoreAdj": _OUT_OF_MEMORY_SCORE,
        "PidsLimit": limits.processes,
        "NanoCpus": int(min(template.cpus, os.cpu_count() or 1) * 1e9),
        "Ulimits": _ulimits(blueprint),
        "ShmSize": template.shared_bytes,
        "Tmpfs": _folders(blueprint),
        "Mounts": [_mount(mount) for mount in mounts],
        "DeviceRequests": device_requests(blueprint.accelerator, cdi=blueprint.cdi),
        "Devices": [
            {"PathOnHost": device.path, "PathInContainer": device.path, "CgroupPermissions": "rw"}
            for device in blueprint.devices
        ],
        "GroupAdd": sorted({str(device.gid) for device in blueprint.devices if device.gid}),
        # Output comes by the attached stream: nothing of it goes to a file of the engine's.
        "LogConfig": {"Type": "none", "Config": {}},
    }


def _ulimits(blueprint: Blueprint) -> list[dict[str, object]]:
    limits = blueprint.limits
    # What a device reads by itself has to stay where it is.
    locked = -1 if blueprint.accelerator else 64 * 1024
    most = {"core": 0, "nofile": limits.open_files, "fsize": limits.file_bytes, "memlock": locked}
    if limits.cpu_seconds is not None:
        most["cpu"] = limits.cpu_seconds
    return [{"Name": name, "Soft": value, "Hard": value} for name, value in most.items()]


def _folders(blueprint: Blueprint) -> dict[str, str]:
    """Folders in memory: they count against the container's memory, and end with it."""
    template = blueprint.template
    # Without a word on it the engine takes noexec.
    common = f"rw,nosuid,nodev,{'exec' if template.writable or template.executes else 'noexec'}"
    owner = f"mode=0700,uid={blueprint.uid},gid={blueprint.gid}"
    own = {
        WORK: f"{common},size={template.work_bytes},{owner}",
        "/tmp": f"{common},size={template.tmp_bytes},mode=1777",  # noqa: S108 - inside the container
    }
    # Else each would be a folder on the machine's disk, without a limit.
    return dict.fromkeys(blueprint.image.volumes, f"{common},size={template.tmp_bytes},{owner}") | own


def _mount(mount: Mount) -> dict[str, object]:
    """Just this folder: what is mounted below it was not checked, and would not be read-only with it."""
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.path,
        "ReadOnly": not mount.writable,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }
