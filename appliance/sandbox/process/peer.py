"""Who is at the other end of a connection."""

import os
import socket
import struct

from appliance.sandbox.process import tree
from appliance.sandbox.process.request import Refused

_CREDENTIALS = struct.Struct("3i")
_WALKS = 5


def check(
    connection: socket.socket,
    spawner: int,
    *,
    peer_uid: int | None,
    jobs_share_user: bool,
    jobs_have_numbers: bool = False,
) -> None:
    """``check_user`` and ``check_descent``."""
    check_user(connection, peer_uid)
    if jobs_share_user:
        check_descent(connection, spawner, jobs_have_numbers=jobs_have_numbers)


def check_user(connection: socket.socket, peer_uid: int | None) -> None:
    """Raise Refused unless the peer is root, our own user, or ``peer_uid``."""
    _, uid = _credentials(connection)
    if uid not in (0, os.geteuid(), peer_uid):
        raise Refused(f"User {uid} may not have jobs run here.", "Start the spawner with --peer-uid.")


def check_descent(connection: socket.socket, spawner: int, *, jobs_have_numbers: bool = False) -> None:
    """Raise Refused where the peer is a job of the spawner's.

    Where jobs run as the spawner's own user, one of them must not get another with more rights than its own.
    Every process of a job stays below the spawner, which adopts orphans: so its ancestors tell.
    ``jobs_have_numbers``: the spawner shares our pid namespace, so every job has a number in it, also one in a
    namespace of its own below. Who has none is a service in another container.
    """
    pid, _ = _credentials(connection)
    if not (jobs_have_numbers and pid == 0):
        _refuse_descendants(pid, spawner)


def _credentials(connection: socket.socket) -> tuple[int, int]:
    """Process and user of the peer when it connected."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def _refuse_descendants(pid: int, spawner: int) -> None:
    if not pid:
        raise Refused(
            "The process that asked lies in another pid namespace.", "Run the spawner beside its clients."
        )
    for _ in range(_WALKS):
        if _reaches_the_top(pid, spawner):
            return
    raise Refused("The process that asked is gone, or cannot be seen from here.")


def _reaches_the_top(pid: int, spawner: int) -> bool:
    """Whether the ancestors end at process 1, or at one of another namespace (0), without the spawner among them.

    What the spawner's own parent has started is beside the spawner: further up some systems (hidepid) show nothing.
    False where one of them went away meanwhile: its children have another parent by now, often the spawner.
    """
    above = tree.parent_of(spawner)
    tops = (1, above[0] if above else 1)
    ancestor, child_started = pid, None
    while ancestor:
        if ancestor == spawner:  # first: in a container the spawner may be process 1 itself
            raise Refused("A job cannot have another job run.")
        if ancestor in tops:
            return True
        found = tree.parent_of(ancestor)
        # Nobody starts after a child of his: then this number was given to somebody else.
        if found is None or (child_started is not None and found[1] > child_started):
            return False
        ancestor, child_started = found
    return True
