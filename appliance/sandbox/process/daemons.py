"""Daemons that a job may talk to over unix sockets, and those that would act for it outside of all confinement.

A filter of system calls sees that a unix socket is made, not where it leads, and Landlock does not see it either: a
job that may use one socket may use every one that its user can open.
"""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH116

import os
import stat

from appliance.sandbox.process.request import Refused, Request

_ENGINES = (
    "/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
    "/run/crio/crio.sock", "/run/systemd/private",
)  # fmt: skip
_OF_A_USER = ("bus", "systemd/private", "docker.sock", "podman/podman.sock")


class Daemons:
    """``engine`` is the container engine's socket that the box goes by, "" for none; ``uid`` and ``gid`` are the
    jobs', None where they run as our own user."""

    __slots__ = ("_gid", "_uid", "_ways_out")

    def __init__(self, engine: str, uid: int | None, gid: int) -> None:
        self._uid, self._gid = uid, gid
        folder = f"/run/user/{os.geteuid() if uid is None else uid}"
        own = (f"{folder}/{name}" for name in _OF_A_USER)
        self._ways_out = [path for path in (engine, *_ENGINES, *own) if path]

    def wanted_by(self, request: Request) -> bool:
        """Whether the job may use unix sockets: it declares that it writes to one. Raises Refused."""
        declared = [status for path in request.writes if (status := _socket(path))]
        if not declared:
            return False
        # Looked up for each such job: an engine may have been installed or started since the last one.
        for path in self._ways_out:
            found = _socket(path)
            if found is None:
                continue
            if any(os.path.samestat(found, status) for status in declared):
                raise Refused(
                    f"{path} runs commands for whoever may speak to it, outside of the sandbox.",
                    "Use a step of kind container.",
                )
            if self._may_open(path, found):
                raise Refused(
                    f"The command wants a unix socket, and its user may also open {path}, by which it would run"
                    " what it likes outside of the sandbox.",
                    "Let root start the box, so that commands have a user of their own, or take its user out of"
                    " the group that may use the container engine.",
                )
        return True

    def _may_open(self, path: str, status: os.stat_result) -> bool:
        if self._uid is None:
            return os.access(path, os.W_OK, effective_ids=True)
        mine = (
            stat.S_IWUSR if status.st_uid == self._uid else stat.S_IWGRP if status.st_gid == self._gid else 0
        )
        return bool(status.st_mode & (mine or stat.S_IWOTH))


def _socket(path: str) -> os.stat_result | None:
    """What is known of the unix socket at ``path``; None where there is none, or none that we may see."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if stat.S_ISSOCK(status.st_mode) else None
