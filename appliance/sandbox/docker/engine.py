"""The container engine's API, as far as guard uses it. Calls block, so each runs in a thread.

Its library is loaded with the first call for which there is an engine: guard also runs where there is none.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.sandbox.docker.blueprint import (
    HOME_LABEL,
    LIFE_LABEL,
    TEMPLATE_LABEL,
    Blueprint,
    Image,
    creation,
)
from appliance.sandbox.docker.model_blueprint import TEMPLATE as MODEL_TEMPLATE
from appliance.sandbox.docker.mounts import Mount
from appliance.sandbox.docker.presence import engine_missing
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process.request import Refused

if TYPE_CHECKING:
    import docker

T = TypeVar("T")

_THREADS = 16
_NOT_FOUND = 404
_GET_DOCKER = "Install Docker (apt-get install docker.io), start it, and start the box again."
_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "the number of processes",
    "CpuCfsQuota": "processor time",
}


class EngineRefused(Exception):
    """The engine answered that it will not: with which HTTP status (None where it gave none), and what it said."""

    def __init__(self, status: int | None, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine says of itself; ``lacking`` is why it cannot be used, empty when it can. ``cdi``: whether it
    knows devices by their CDI names."""

    version: str
    lacking: str
    cdi: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container that waits for its job. ``stream`` is attached to it; ``pid`` is its first process, 0 where
    that cannot be known."""

    id: str
    stream: socket.socket
    pid: int

    @property
    def waits(self) -> bool:
        """Whether it is still there, as far as its stream tells."""
        try:
            self.stream.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it ended, or has said something before it was asked


class Engine:
    """The engine behind ``url`` (a unix socket), for the containers of one home.

    Every method raises SandboxUnavailable while the engine is away, or when it cannot do what is needed.
    """

    def __init__(self, url: str, home_id: str) -> None:
        self._url = url
        self._home_id = home_id
        self.life = secrets.token_hex(6)
        """On every container that this object made: another's are left over from an earlier life."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._client: docker.APIClient | None = None

    async def facts(self) -> Facts:
        """Whether the engine can confine as it must."""
        info = await self.call(lambda client: client.info())
        missing = [what for key, what in _LIMITS.items() if not info.get(key)]
        problems = [f"it cannot limit {', '.join(missing)}"] if missing else []
        if not any(str(option).startswith("name=seccomp") for option in info.get("SecurityOptions") or ()):
            problems.append("it has no seccomp")
        cdi = bool(info.get("CDISpecDirs"))
        return Facts(str(info.get("ServerVersion", "")), "; ".join(problems), cdi)

    async def image(self, reference: str) -> Image:
        """The image with that digest. Raises Refused when it is not here: nothing is ever fetched."""
        try:
            found = await self.call(lambda client: client.inspect_image(reference))
        except EngineRefused as error:
            if error.status != _NOT_FOUND:
                raise SandboxUnavailable(f"The container engine refused: {error.said}.") from error
            name = reference.partition("@")[0]
            hint = f"`docker pull {reference}`" if name != reference else "`docker pull` or `docker load`"
            raise Refused(
                f"The image {reference} is not on this box.", f"Bring it here with {hint}."
            ) from error
        volumes = (found.get("Config") or {}).get("Volumes") or {}
        return Image(str(found["Id"]), tuple(sorted(volumes)))

    async def start(
        self, blueprint: Blueprint, labels: Mapping[str, str], mounts: Sequence[Mount] = ()
    ) -> Container:
        """Make a container and have it wait for its job."""
        body = creation(blueprint, {**labels, HOME_LABEL: self._home_id, LIFE_LABEL: self.life}, mounts)

        def begin(client: "docker.APIClient") -> Container:
            from appliance.sandbox.docker import library

            return Container(*library.start(client, body))

        return await self.call(begin)

    async def signal(self, container: str, name: str) -> None:
        """Send a signal to the job; to a container that is gone, nothing. After KILL nothing of it runs."""
        await self._gone_is_fine(lambda client: client.kill(container, name))

    async def remove(self, container: str) -> None:
        """End a container and take it away, with all that it wrote."""
        await self._gone_is_fine(lambda client: client.remove_container(container, v=True, force=True))

    async def rename(self, container: str, name: str) -> None:
        await self._gone_is_fine(lambda client: client.rename(container, name))

    async def exit_code(self, container: str) -> int | None:
        """With what its first process ended; None when it is gone, or runs."""
        try:
            state = (await self.call(lambda client: client.inspect_container(container)))["State"]
        except EngineRefused as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        return None if state["Running"] else int(state["ExitCode"])

    async def containers(self) -> list[dict[str, Any]]:
        """Every container of this home's jobs, whatever its state: the engine's rows. A model's lives on."""
        wanted = {"label": f"{HOME_LABEL}={self._home_id}"}
        found: list[dict[str, Any]] = await self.call(
            lambda client: client.containers(all=True, filters=wanted)
        )
        return [row for row in found if (row.get("Labels") or {}).get(TEMPLATE_LABEL) != MODEL_TEMPLATE]

    async def own_network(self, name: str) -> None:
        """Make sure that there is a network of that name without a way out. Raises Refused."""
        labels = {HOME_LABEL: self._home_id}

        def have(client: "docker.APIClient") -> None:
            from appliance.sandbox.docker import library

            library.own_network(client, name, labels)

        await self.call(have)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _gone_is_fine(self, work: "Callable[[docker.APIClient], object]") -> None:
        try:
            await self.call(work)
        except EngineRefused as error:
            # 404: gone already. 409: not running any more, or being removed.
            if error.status not in (_NOT_FOUND, 409):
                raise SandboxUnavailable(f"The container engine refused: {error.said}.") from error

    async def call(self, work: "Callable[[docker.APIClient], T]") -> T:
        """``work(client)`` in a thread. EngineRefused comes through, for callers that expect one."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, work)

    def _asked(self, work: "Callable[[docker.APIClient], T]") -> T:
        if engine_missing(self._url):
            raise self._unreachable()
        from appliance.sandbox.docker import library

        try:
            if self._client is None:
                self._client = library.connect(self._url)
            return work(self._client)
        except library.APIError as error:
            raise EngineRefused(library.status_of(error), library.said(error)) from error
        except library.UNREACHABLE as error:
            raise self._unreachable() from error

    def _unreachable(self) -> SandboxUnavailable:
        return SandboxUnavailable(f"The container engine at {self._url} cannot be reached.", hint=_GET_DOCKER)
