"""``logs``: the logs of the box's own services."""

from typing import Annotated, Literal

from pydantic import Field

from appliance.agent.service_logs import Wanted, last_lines, services
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.duration import parse_duration
from appliance.lib.jsontypes import JsonValue


class LogsArguments(Arguments):
    service: str = ""
    """Whose: web, worker, reactor, …; empty for the names of those that there are."""
    word: str = ""
    """Only entries with this word in them."""
    level: Literal["", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = ""
    """Only of this level and worse."""
    last: str = "1h"
    """How far back, as 10m, 1h or 2d."""
    most: Annotated[int, Field(ge=1, le=200)] = 50
    """How many entries, the newest."""


class LogsTool(QueryTool[LogsArguments]):
    name = "logs"
    says = "Read the logs of this box's own services, by word, level and time."
    arguments = LogsArguments
    example = {"service": "worker", "level": "WARNING", "last": "1h"}

    def answer(self, given: LogsArguments, asking: Asking) -> JsonValue:
        if not given.service:
            return {"services": [*services(asking.by)]}
        since = asking.now - parse_duration(given.last)
        wanted = Wanted(given.word[:200], given.level, since, given.most)
        return {"service": given.service, "lines": [*last_lines(given.service, wanted, asking.by)]}
