"""What guard does with the engine by way of the docker library. Loading it takes time and memory: see ``engine``."""

import os
import re
import socket
from collections.abc import Mapping

import docker
import requests.exceptions
from docker.errors import APIError as APIError  # the name that callers catch
from docker.errors import DockerException

from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process.request import Refused

UNREACHABLE: tuple[type[Exception], ...] = (DockerException, requests.exceptions.RequestException, OSError)

_API = "1.41"
_CALL_SECONDS = 30
_NO_ADDRESS = {"com.docker.network.bridge.inhibit_ipv4": "true"}
"""The machine has no address on the network: nothing that it serves can be reached, and a default route, which older
engines give every network, leads to nobody."""
_WEAKENED = re.compile(r"not support|discard|ignored", re.IGNORECASE)


def connect(url: str) -> docker.APIClient:
    """A client; it connects with its first call."""
    return docker.APIClient(url, version=_API, timeout=_CALL_SECONDS)


def start(client: docker.APIClient, body: Mapping[str, object]) -> tuple[str, socket.socket, int]:
    """Make a container and start it: its id, the stream attached to it, its first process (0: not to be known).

    Raises SandboxUnavailable where it cannot be as ``body`` says, and what ``UNREACHABLE`` names.
    """
    try:
        made = client.create_container_from_config(body)
    except APIError as error:
        raise SandboxUnavailable(f"No container could be made: {said(error)}.") from error
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
        return container, stream, pid
    except BaseException as error:
        client.remove_container(container, v=True, force=True)
        if isinstance(error, APIError):
            hint = "Install its init (apt-get install tini)." if "docker-init" in said(error) else None
            raise SandboxUnavailable(f"The container does not start: {said(error)}.", hint=hint) from error
        raise


def own_network(client: docker.APIClient, name: str, labels: dict[str, str]) -> None:
    """Make sure that there is a network of that name without a way out. Raises Refused."""
    try:
        found = client.networks(names=[f"^{name}$"])
        if not found:
            client.create_network(
                name, driver="bridge", internal=True, options=_NO_ADDRESS, labels=labels, check_duplicate=True
            )
            found = client.networks(names=[f"^{name}$"])
    except APIError as error:
        raise Refused(
            f"There can be no network for the template net: {said(error)}.",
            "The container engine runs without its bridge network, or without iptables.",
        ) from error
    options = (found[0].get("Options") or {}) if found else {}
    if not found or not found[0].get("Internal") or not _NO_ADDRESS.items() <= options.items():
        raise Refused(f"The network {name} leads out.", f"Remove it: `docker network rm {name}`.")


def status_of(error: APIError) -> int | None:
    """The HTTP status of the engine's answer; None where there was none."""
    return None if error.response is None else int(error.response.status_code)


def said(error: APIError) -> str:
    """What the engine gave as its reason."""
    return str(error.explanation or error).strip().rstrip(".")[:500]
