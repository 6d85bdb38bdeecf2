"""How a container may be made: four fixed ways, as code. No user, task or request adds one or changes one."""

from dataclasses import dataclass
from typing import Literal

from appliance.sandbox.docker.request import JobLimits, TemplateName

Network = Literal["none", "internal", "bridge"]
_GIB, _MIB = 1 << 30, 1 << 20


@dataclass(frozen=True, slots=True)
class Template:
    """``tmp_bytes``, ``shared_bytes``: of folders in memory. ``executes``: whether what is written there may be run.

    ``network``: nothing; a network of the box's own without a way out; or the engine's own, with one.

    ``devices``: the device files that the box's settings name. ``trusted``: only for images that the settings
    name. ``writable``: what is written in the image's own folders goes away with the container. Memory and
    folder sizes are in bytes; ``cpus`` is processors.
    """

    name: TemplateName | Literal["tools"]
    network: Network = "none"
    devices: bool = False
    trusted: bool = False
    writable: bool = False
    most_memory: int = 2 * _GIB
    most_processes: int = 512
    most_open_files: int = 4096
    most_file_bytes: int = _GIB
    work_bytes: int = 256 * _MIB
    cpus: float = 1.0
    tmp_bytes: int = 64 * _MIB
    shared_bytes: int = 16 * _MIB
    executes: bool = False

    def cap(self, asked: JobLimits) -> JobLimits:
        """What of ``asked`` this template gives."""
        return JobLimits(
            memory=min(asked.memory, self.most_memory),
            processes=min(asked.processes, self.most_processes),
            open_files=min(asked.open_files, self.most_open_files),
            file_bytes=min(asked.file_bytes, self.most_file_bytes),
            cpu_seconds=asked.cpu_seconds,
        )


TEMPLATES: dict[TemplateName, Template] = {
    "strict": Template("strict"),
    "net": Template("net", network="internal"),
    "device": Template("device", devices=True),
    "trusted": Template(
        "trusted",
        network="bridge",
        trusted=True,
        writable=True,
        most_memory=16 * _GIB,
        most_processes=4096,
        most_open_files=65536,
        most_file_bytes=16 * _GIB,
        work_bytes=2 * _GIB,
        cpus=4.0,
    ),
}

TOOLS = Template(
    "tools",
    most_memory=1 << 45,
    most_processes=4096,
    most_open_files=65536,
    most_file_bytes=1 << 50,
    work_bytes=2 * _GIB,
    cpus=float(1 << 10),
    tmp_bytes=2 * _GIB,
    shared_bytes=8 * _GIB,
    executes=True,
)
"""Of the tools that make another model of one: they have the machine's processors, and no network either."""
