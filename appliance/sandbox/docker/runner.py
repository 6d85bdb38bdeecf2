"""What guard does with a run request: check it against the box's settings, have a container, follow the job."""

import asyncio
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from appliance.sandbox.docker import mounts as folders
from appliance.sandbox.docker.blueprint import (
    LIFE_LABEL,
    RUN_LABEL,
    STEP_LABEL,
    WORK,
    Blueprint,
    Device,
    Image,
)
from appliance.sandbox.docker.engine import Container, Engine
from appliance.sandbox.docker.entry import script
from appliance.sandbox.docker.model_jobs import ModelJobs
from appliance.sandbox.docker.model_request import ModelDevice
from appliance.sandbox.docker.pool import Pool
from appliance.sandbox.docker.request import JobRequest, ModelJob, RunRequest
from appliance.sandbox.docker.running import Running
from appliance.sandbox.docker.templates import TEMPLATES, TOOLS, Template
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process import checkpoint, wire, workfolder
from appliance.sandbox.process.request import Checkpoint, Refused

_NOT_IN_A_NAME = str.maketrans({c: "-" for c in map(chr, range(128)) if not (c.isalnum() or c in "_.-")})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the box's settings let containers have; ``uid`` is the user that jobs run as."""

    home_id: str
    uid: int
    gid: int
    allowed: folders.Allowed
    devices: tuple[str, ...] = ()
    trusted: frozenset[str] = frozenset()

    @property
    def network(self) -> str:
        """The name of the network without a way out."""
        return f"millwright-{self.home_id}"


def _nothing() -> dict[str, object]:
    return {}


class Watcher(Protocol):
    """Puts a container under the kernel's rules."""

    def contained(self, pid: int, container: str, request: JobRequest) -> Callable[[], dict[str, object]]:
        """From now on. What is given tells, at the job's end, what it did, as the RESULT says it.

        Raises SandboxUnavailable where the request is not to run without.
        """
        ...


class Unwatched:
    """Watches nothing."""

    def contained(self, pid: int, container: str, request: JobRequest) -> Callable[[], dict[str, object]]:
        return _nothing


@dataclass(slots=True)
class Runner:
    """Runs jobs, and knows those that run: by a number of their own."""

    engine: Engine
    pool: Pool
    rules: Rules
    tools: ModelJobs = field(default_factory=lambda: ModelJobs((), folders.Allowed((), (), ())))
    watcher: Watcher = field(default_factory=Unwatched)
    jobs: dict[str, Running] = field(default_factory=dict)

    async def run(self, request: JobRequest, earlier: bytes, client: socket.socket) -> bytes:
        """Run the job; STARTED is sent when it is handed over. Gives the frames that end the conversation.

        Raises Refused, SandboxUnavailable.
        """
        blueprint = await self._blueprint(request)
        mounts = self._open(request)
        labels = {RUN_LABEL: request.run, STEP_LABEL: request.step}
        try:
            container, made_ahead = await self.pool.take(blueprint, labels, mounts)
            mounted = all(mount.is_in(container.pid) for mount in mounts)
        finally:
            folders.close(mounts)
        job, watched = secrets.token_hex(8), _nothing
        try:
            if not mounted:  # nothing of the job has run yet
                raise Refused("A folder that was to be mounted was exchanged for another meanwhile.")
            # Before the job begins: from its first instruction the rules hold.
            watched = self.watcher.contained(container.pid, container.id, request)
            running = await self._hand_over(job, request, earlier, client, container)
            running.watched = watched
            if made_ahead:
                self.pool.later(self.engine.rename(container.id, self._name(request, job)))
            return await running.until_over()
        finally:
            if (ended := self.jobs.pop(job, None)) and ended.checkpoint:
                ended.checkpoint.close()
            watched()
            self.pool.destroy(container)

    async def cancel(self, run: str) -> int:
        """End the jobs of a run, or all of them; how many there were.

        One that the engine cannot end keeps none of the others alive. Raises SandboxUnavailable, EngineRefused then.
        """
        found = [job for job in self.jobs.values() if run in ("", job.request.run)]
        for job in found:
            job.cancelled = True
        signals = (self.engine.signal(job.container.id, "SIGKILL") for job in found)
        for said in await asyncio.gather(*signals, return_exceptions=True):
            if isinstance(said, BaseException):
                raise said
        return len(found)

    async def cleanup(self) -> int:
        """Remove the containers of this home that an earlier guard has left: their jobs have nobody any more."""
        rows = await self.engine.containers()
        left = [row["Id"] for row in rows if (row.get("Labels") or {}).get(LIFE_LABEL) != self.engine.life]
        for container in left:
            await self.engine.remove(container)
        return len(left)

    async def _hand_over(
        self, job: str, request: JobRequest, earlier: bytes, client: socket.socket, container: Container
    ) -> Running:
        env = dict(request.env)
        watch = None
        _put_files(container, request)
        if request.checkpoint:
            env[checkpoint.VARIABLE] = f"{WORK}/{checkpoint.NAME}"
            watch = _checkpoint_watch(container, request, earlier)
        mark = secrets.token_hex(16)
        # Told before the job begins: a client that never sees this knows that nothing ran.
        client.send(wire.frame(wire.STARTED))
        running = Running(self.engine, container, request, client, mark, watch)
        self.jobs[job] = running
        text = script(request.argv, env, mark)
        await asyncio.get_running_loop().sock_sendall(container.stream, text)
        return running

    def _open(self, request: JobRequest) -> list[folders.Mount]:
        if isinstance(request, ModelJob):
            return self.tools.open(request)
        return self.rules.allowed.open(request.reads, request.writes)

    async def _blueprint(self, request: JobRequest) -> Blueprint:
        template, accelerator, cdi = await self._kind(request)
        image = await self.engine.image(request.image)
        network: str = template.network
        if template.network == "internal":
            network = self.rules.network
            await self.engine.own_network(network)
        if template.trusted:
            self._check_trusted(request, image)
        return Blueprint(
            template,
            image,
            template.cap(request.limits),
            self.rules.uid,
            self.rules.gid,
            network,
            _devices(template, self.rules.devices),
            accelerator,
            cdi,
        )

    async def _kind(self, request: JobRequest) -> tuple[Template, ModelDevice | None, bool]:
        """The template, the accelerator, and whether the engine knows it by its CDI name. Raises Refused."""
        if isinstance(request, ModelJob):
            self.tools.check(request)
            return TOOLS, request.device, request.device is not None and (await self.engine.facts()).cdi
        assert isinstance(request, RunRequest)
        return TEMPLATES[request.template], None, False

    def _check_trusted(self, request: JobRequest, image: Image) -> None:
        if self.rules.trusted.isdisjoint((request.image, image.id)):
            raise Refused(
                "The template trusted is only for images that the box's settings name.",
                "An administrator names them, by digest, in MILLWRIGHT_TRUSTED_IMAGES.",
            )

    def _name(self, request: JobRequest, job: str) -> str:
        """Of a container that was made before its run: labels cannot be changed any more."""
        step = request.step.encode("ascii", "replace").decode().translate(_NOT_IN_A_NAME)
        return f"millwright-{self.rules.home_id}-{request.run or 'none'}-{step[:60]}-{job[:8]}"


def _devices(template: Template, paths: Sequence[str]) -> tuple[Device, ...]:
    if not template.devices:
        return ()
    if not paths:
        raise Refused(
            "The template device has no device.",
            "An administrator names device files in MILLWRIGHT_CONTAINER_DEVICES.",
        )
    found = []
    for path in paths:
        try:
            state = Path(path).stat()
        except OSError as error:
            raise SandboxUnavailable(f"The device {path} is not there: {error.strerror}.") from error
        if not stat.S_ISCHR(state.st_mode):
            raise Refused(f"{path} is not a character device.")
        found.append(Device(path, state.st_gid))
    return tuple(found)


def _checkpoint_watch(
    container: Container, request: JobRequest, earlier: bytes
) -> checkpoint.CheckpointWatch:
    """Put back what an earlier life left, and watch what this one writes, by way of the kernel's view of the
    container. Held open it can be read also when the container is dead, and nobody can write any more."""
    asked = request.checkpoint
    assert asked
    folder = _work_folder(container, "to keep checkpoints")
    if earlier:
        _put(folder, checkpoint.NAME, earlier)
    return checkpoint.CheckpointWatch(folder, Checkpoint(asked.model_dump()), time.monotonic())


def _put_files(container: Container, request: JobRequest) -> None:
    """In the container's folder in memory: neither the engine nor a disk gets what stands in them."""
    if not request.files:
        return
    folder = _work_folder(container, "to put files there")
    try:
        for name, text in request.files.items():
            _put(folder, name, text.encode())
    finally:
        os.close(folder)


def _put(folder: int, name: str, content: bytes) -> None:
    owner = os.fstat(folder)
    try:
        workfolder.put(folder, name, content, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise SandboxUnavailable(f"A file could not be put into the container: {error.strerror}.") from error


def _work_folder(container: Container, why: str) -> int:
    """Opened. Raises SandboxUnavailable."""
    place = f"/proc/{container.pid}/root{WORK}"
    try:
        return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxUnavailable(
            f"The working folder of the container cannot be reached, {why}: {error.strerror}.",
            hint="Guard must run beside the engine, on the same machine, as root.",
        ) from error
