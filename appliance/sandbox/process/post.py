"""What a supervisor has for all its jobs."""

import os

from appliance.sandbox.process import daemons, places
from appliance.sandbox.process.options import Options


class Unavailable(Exception):
    """No job can be run here; the text says why."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Post:
    """What a supervisor has for all its jobs; ``wakeup`` can be read when it is told to stop."""

    __slots__ = ("daemons", "filters", "name", "options", "places", "spawner", "wakeup")

    def __init__(
        self,
        options: Options,
        allowed: places.Places,
        filters: dict[bool, bytes | None],
        name: str,
        spawner: int,
        wakeup: int,
    ) -> None:
        self.options, self.places, self.filters = options, allowed, filters
        self.daemons = daemons.Daemons(options.engine, options.uid, options.gid)
        self.name, self.spawner, self.wakeup = name, spawner, wakeup

    def told_to_stop(self) -> bool:
        try:
            return bool(os.read(self.wakeup, 1))
        except BlockingIOError:
            return False
