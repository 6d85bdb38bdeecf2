"""``http``: send something to an API."""

from typing import Any, Literal

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class HttpArguments(Arguments):
    url: str
    """The whole address, with http or https."""
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """What is done there."""
    body: dict[str, Any] = {}
    """What is sent, as JSON."""
    allow_private: bool = False
    """Whether addresses of the plant's own network may be reached."""


class HttpTool(Tool[HttpArguments]):
    name = "http"
    says = "Send a request that changes something at an API."
    arguments = HttpArguments
    risk = Risk.CHANGE
    by_author = frozenset({"allow_private"})
    example = {"url": "https://example.com/tickets", "method": "POST", "body": {"title": "pump 3 is hot"}}

    def step(self, given: HttpArguments) -> JsonObject:
        said: JsonObject = {"type": "http", "url": given.url, "method": given.method}
        if given.body:
            said["body"] = given.body
        return {**said, "allow_private": given.allow_private}

    def risk_of(self, given: HttpArguments) -> Risk:
        return Risk.DESTROY if given.method == "DELETE" else self.risk
