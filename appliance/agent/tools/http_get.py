"""``http_get``: fetch a page or an API's answer."""

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class HttpGetArguments(Arguments):
    url: str
    """The whole address, with http or https."""
    allow_private: bool = False
    """Whether addresses of the plant's own network may be reached."""


class HttpGetTool(Tool[HttpGetArguments]):
    name = "http_get"
    says = "Fetch an address over HTTP and read the answer."
    arguments = HttpGetArguments
    risk = Risk.READ
    by_author = frozenset({"allow_private"})
    leaves_to = frozenset({"url"})
    example = {"url": "https://example.com/status"}

    def step(self, given: HttpGetArguments) -> JsonObject:
        return {"type": "http", "url": given.url, "method": "GET", "allow_private": given.allow_private}
