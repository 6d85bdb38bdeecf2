"""``values.get``: what the box has kept under ``cache_key``."""

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.cache.looking import entries
from appliance.cache.models import CacheEntry
from appliance.lib.jsontypes import JsonObject, JsonValue

MOST = 20
LONGEST = 2_000


class ValuesGetArguments(Arguments):
    key: str
    """The key, or the beginning of several."""


class ValuesGetTool(QueryTool[ValuesGetArguments]):
    name = "values.get"
    says = "Read a kept value by its key, or all whose keys begin so."
    arguments = ValuesGetArguments
    example = {"key": "last_backup"}

    def answer(self, given: ValuesGetArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW)
        return [_row(one) for one in entries(given.key.replace("\x00", "")[:200])[:MOST]]


def _row(one: CacheEntry) -> JsonObject:
    text = str(one.value)
    return {
        "key": one.key,
        "value": one.value if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)",
        "version": one.version,
        "by": one.updated_by,
        "at": f"{one.updated_at:%Y-%m-%dT%H:%M:%SZ}",
    }
