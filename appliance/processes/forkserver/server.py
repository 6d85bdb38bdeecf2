"""The fork server: loads, and then forks a service for each order of the process manager.

It has one thread and opens nothing: no connection, no event loop, no file. What it forks is what ``launch`` had made of
itself: same user, environment, limits and capabilities (none).
"""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from appliance.processes import launch
from appliance.processes.forkserver import NAME
from appliance.processes.forkserver.command_line import show
from appliance.processes.forkserver.orders import GO, LOADED, UP

log = logging.getLogger(__name__)

_NAME_BYTES = len(NAME)
_LOOK_EVERY = 0.0005


class NotAlone(Exception):
    """Another thread runs here: in what is forked now it would be missing, with whatever it holds."""


def serve(door: socket.socket, manager: int, loaded: Callable[[], None] = lambda: None) -> str:
    """Call ``loaded``, and serve until ``manager``, the process at the other end of ``door``, shuts it.

    Returns in each service that is forked, with its name and its own standard input and output. Raises SystemExit
    when the manager is gone, NotAlone.
    """
    gc.collect()
    gc.freeze()  # the collector would write into every object, and so copy every page
    door.send(LOADED)
    loaded()
    while True:
        order, descriptors, _, _ = socket.recv_fds(door, _NAME_BYTES, 3)
        if not order:
            sys.exit(0)
        if threading.active_count() > 1:
            raise NotAlone(f"threads: {', '.join(thread.name for thread in threading.enumerate())}")
        left_by = _fork_orphan()
        if left_by:
            door.detach()
            _begin(order.decode(), descriptors, left_by, manager)
            return order.decode()
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_orphan() -> int:
    """Fork a process whose parent ends at once. 0 in this one; in the new one the process between the two."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return 0
    try:
        between = os.getpid()
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    return between


def _begin(name: str, descriptors: list[int], left_by: int, manager: int) -> None:
    """Become the manager's child, say so, and wait until it has taken note. Ends the process where it does not."""
    stdin, stdout, gate = descriptors
    try:
        while os.getppid() == left_by:
            time.sleep(_LOOK_EVERY)
        launch.die_with(manager, signal.SIGKILL)
        os.setpgid(0, 0)  # as the process manager does for what it starts itself
        with socket.socket(fileno=gate) as connection:
            connection.send(UP)
            if connection.recv(len(GO)) != GO:
                os._exit(1)
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(stdout, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        show(name)
    except BaseException:  # the process edge
        log.exception("%s could not begin", name)
        os._exit(1)
    gc.enable()
