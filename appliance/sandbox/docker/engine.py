"""The container engine's API, as far as guard uses it. Calls block, so each runs in a thread."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import docker
import requests.exceptions
from docker.errors import APIError, DockerException, NotFound

from appliance.sandbox.docker.blueprint import HOME_LABEL, LIFE_LABEL, Blueprint, Image, creation
from appliance.sandbox.docker.mounts import Mount
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process.request import Refused

P = ParamSpec("P")
T = TypeVar("T")

_CALL_SECONDS = 30
_THREADS = 16
_GET_DOCKER = "Install Docker (apt-get install docker.io), start it, and start the box again."
_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "the number of processes",
    "CpuCfsQuota": "processor time",
}
_NO_ADDRESS = {"com.docker.network.bridge.inhibit_ipv4": "true"}
"""The machine has no address on the network: nothing that it serves can be reached, and a default route, which older
engines give every network, leads to nobody."""
_WEAKENED = re.compile(r"not support|discard|ignored", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine says of itself; ``lacking`` is why it cannot be used, empty when it can."""

    version: str
    lacking: str


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
        info = await self._call(lambda client: client.info())
        missing = [what for key, what in _LIMITS.items() if not info.get(key)]
        problems = [f"it cannot limit {', '.join(missing)}"] if missing else []
        if not any(str(option).startswith("name=seccomp") for option in info.get("SecurityOptions") or ()):
            problems.append("it has no seccomp")
        return Facts(str(info.get("ServerVersion", "")), "; ".join(problems))

    async def image(self, reference: str) -> Image:
        """The image with that digest. Raises Refused when it is not here: nothing is ever fetched."""
        try:
            found = await self._call(lambda client: client.inspect_image(reference))
        except NotFound as error:
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
        return await self._call(_start, body)

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
            state = (await self._call(lambda client: client.inspect_container(container)))["State"]
        except NotFound:
            return None
        return None if state["Running"] else int(state["ExitCode"])

    async def containers(self) -> list[dict[str, Any]]:
        """Every container of this home, whatever its state: the engine's rows."""
        wanted = {"label": f"{HOME_LABEL}={self._home_id}"}
        found: list[dict[str, Any]] = await self._call(
            lambda client: client.containers(all=True, filters=wanted)
        )
        return found

    async def own_network(self, name: str) -> None:
        """Make sure that there is a network of that name without a way out. Raises Refused."""
        await self._call(_own_network, name, {HOME_LABEL: self._home_id})

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _gone_is_fine(self, work: Callable[[docker.APIClient], object]) -> None:
        try:
            await self._call(work)
        except APIError as error:
            # 404: gone already. 409: not running any more, or being removed.
            if error.response is None or error.response.status_code not in (404, 409):
                raise SandboxUnavailable(f"The container engine refused: {_said(error)}.") from error

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        """``work(client, *arguments)`` in a thread. APIError comes through, for callers that expect one."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: work(self._connected(), *arguments)
            )
        except APIError:
            raise
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise SandboxUnavailable(
                f"The container engine at {self._url} cannot be reached.", hint=_GET_DOCKER
            ) from error

    def _connected(self) -> docker.APIClient:
        if self._client is None:
            self._client = docker.APIClient(self._url, version="1.41", timeout=_CALL_SECONDS)
        return self._client


def _start(client: docker.APIClient, body: dict[str, object]) -> Container:
    try:
        made = client.create_container_from_config(body)
    except APIError as error:
        raise SandboxUnavailable(f"No container could be made: {_said(error)}.") from error
    container = str(made["Id"])
    try:
        if weak := [text for text in made.get("Warnings") or () if _WEAKENED.search(text)]:
            raise SandboxUnavailable(f"The container engine cannot keep what is asked of it: {weak[0]}")
        attached = client.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        stream = socket.socket(fileno=os.dup(attached.fileno()))
        attached._sock.close()  # which stays open below it otherwise
        attached.close()
        stream.setblocking(False)
        try:
            client.start(container)
            pid = int(client.inspect_container(container)["State"]["Pid"])
        except BaseException:
            stream.close()
            raise
        return Container(container, stream, pid)
    except BaseException as error:
        client.remove_container(container, v=True, force=True)
        if isinstance(error, APIError):
            hint = "Install its init (apt-get install tini)." if "docker-init" in _said(error) else None
            raise SandboxUnavailable(f"The container does not start: {_said(error)}.", hint=hint) from error
        raise


def _own_network(client: docker.APIClient, name: str, labels: dict[str, str]) -> None:
    try:
        found = client.networks(names=[f"^{name}$"])
        if not found:
            client.create_network(
                name, driver="bridge", internal=True, options=_NO_ADDRESS, labels=labels, check_duplicate=True
            )
            found = client.networks(names=[f"^{name}$"])
    except APIError as error:
        raise Refused(
            f"There can be no network for the template net: {_said(error)}.",
            "The container engine runs without its bridge network, or without iptables.",
        ) from error
    options = (found[0].get("Options") or {}) if found else {}
    if not found or not found[0].get("Internal") or not _NO_ADDRESS.items() <= options.items():
        raise Refused(f"The network {name} leads out.", f"Remove it: `docker network rm {name}`.")


def _said(error: APIError) -> str:
    return str(error.explanation or error).strip().rstrip(".")[:500]
