"""What guard does about the containers of models by way of the docker library: see ``library``."""

import io
import tarfile
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError

from appliance.sandbox.docker.blueprint import HOME_LABEL, TEMPLATE_LABEL
from appliance.sandbox.docker.library import said, status_of
from appliance.sandbox.docker.model_blueprint import CACHE, OWN, TEMPLATE, WORK
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process.request import Refused

_NOT_FOUND, _CONFLICT = 404, 409
_ALONE = {"com.docker.network.bridge.enable_icc": "false"}
"""Engines ask nobody for a password: none of them reaches another. This machine reaches each by its address."""
_MOST_LOG = 64 << 10


def own_network(client: docker.APIClient, name: str, labels: dict[str, str]) -> None:
    """Make sure that there is a network of that name from which nothing leads out of this machine. Raises Refused."""
    try:
        found = client.networks(names=[f"^{name}$"])
        if not found:
            client.create_network(
                name, driver="bridge", internal=True, options=_ALONE, labels=labels, check_duplicate=True
            )
            found = client.networks(names=[f"^{name}$"])
    except APIError as error:
        raise Refused(
            f"There can be no network for models: {said(error)}.",
            "The container engine runs without its bridge network, or without iptables.",
        ) from error
    options = (found[0].get("Options") or {}) if found else {}
    if not found or not found[0].get("Internal") or not _ALONE.items() <= options.items():
        raise Refused(f"The network {name} leads out.", f"Remove it: `docker network rm {name}`.")


def given_network(client: docker.APIClient, name: str) -> None:
    """Make sure that the one that the operator named is there, and that nothing leads out of it. Raises Refused.

    Its members reach each other: some of them are the box's own containers, which are to reach the engines.
    """
    found = client.networks(names=[f"^{name}$"])
    if not found:
        raise Refused(
            f"There is no network {name}, which MILLWRIGHT_MODEL_NETWORK names.",
            "With Compose: start the box with compose/models.yaml, which makes it.",
        )
    if not found[0].get("Internal"):
        raise Refused(f"The network {name} leads out.", "Make it internal, or name another.")


def make(client: docker.APIClient, name: str, body: Mapping[str, object]) -> bool:
    """Make a container; gives whether there was none of that name. Raises Refused, SandboxUnavailable."""
    try:
        client.create_container_from_config(body, name)
    except APIError as error:
        if status_of(error) == _CONFLICT:
            return False
        raise SandboxUnavailable(f"No container could be made: {said(error)}.") from error
    return True


def begin(client: docker.APIClient, name: str, files: Mapping[str, str], uid: int, gid: int) -> None:
    """Give it its files and its part of the cache, and start it."""
    try:
        client.put_archive(name, WORK, _tar(files, uid, gid))
        client.put_archive(name, CACHE, _tar({}, uid, gid, folder=OWN))
        client.start(name)
    except APIError as error:
        raise SandboxUnavailable(
            f"The container does not start: {said(error)}.", hint=_hint(said(error))
        ) from error


def seen(client: docker.APIClient, name: str) -> dict[str, Any] | None:
    """What the engine says of it; None where there is none."""
    try:
        found: dict[str, Any] = client.inspect_container(name)
    except APIError as error:
        if status_of(error) == _NOT_FOUND:
            return None
        raise
    return found


def all_of(client: docker.APIClient, home_id: str) -> list[dict[str, Any]]:
    """The engine's rows, of those that run and those that have ended."""
    labels = [f"{HOME_LABEL}={home_id}", f"{TEMPLATE_LABEL}={TEMPLATE}"]
    found: list[dict[str, Any]] = client.containers(all=True, filters={"label": labels})
    return found


def last_lines(client: docker.APIClient, name: str, lines: int, *, times: bool = False) -> str:
    """Of both streams; ``times``: each with the moment at which it came."""
    try:
        raw: bytes = client.logs(name, tail=lines, timestamps=times)
    except APIError as error:
        if status_of(error) in (_NOT_FOUND, _CONFLICT):
            return ""
        raise
    return raw[-_MOST_LOG:].decode("utf-8", "replace")


def memory(client: docker.APIClient, name: str) -> int | None:
    """Bytes that all in it have now, without what the kernel could take back at once; None where it does not say."""
    try:
        usage = client.stats(name, stream=False, one_shot=True).get("memory_stats") or {}
    except APIError:
        return None
    stats = usage.get("stats") or {}
    idle = stats.get("inactive_file", stats.get("total_inactive_file", 0))
    return int(usage["usage"]) - int(idle) if "usage" in usage else None


def end(client: docker.APIClient, name: str, grace: float) -> None:
    """Ask, wait, kill, remove; one that is gone is fine."""
    try:
        client.stop(name, timeout=int(grace))
        client.remove_container(name, v=True, force=True)
    except APIError as error:
        if status_of(error) not in (_NOT_FOUND, _CONFLICT):
            raise SandboxUnavailable(f"The container engine refused: {said(error)}.") from error


def _tar(files: Mapping[str, str], uid: int, gid: int, *, folder: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        if folder:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o700, uid, gid
            tar.addfile(entry)
        for name, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o400, uid, gid
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _hint(what: str) -> str | None:
    if "docker-init" in what:
        return "Install its init (apt-get install tini)."
    if "could not select device driver" in what or "nvidia" in what.lower():
        return "Install the NVIDIA Container Toolkit, and have it write a CDI specification (nvidia-ctk cdi generate)."
    if "executable file not found" in what:
        return "The image that MILLWRIGHT_MODEL_IMAGES names is of another engine."
    return None
