"""``readings.last``: what came last on topics."""

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.bus.models import TopicValue
from appliance.lib.jsontypes import JsonObject, JsonValue

MOST = 20
LONGEST = 500


class ReadingsLastArguments(Arguments):
    topic: str
    """The topic, or the beginning of several, as plant/line1/."""


class ReadingsLastTool(QueryTool[ReadingsLastArguments]):
    name = "readings.last"
    says = "Read the last value of a topic, or of all that begin so."
    arguments = ReadingsLastArguments
    example = {"topic": "plant/line1/"}

    def answer(self, given: ReadingsLastArguments, asking: Asking) -> JsonValue:
        rows = TopicValue.objects.filter(topic__startswith=given.topic).order_by("topic")[: MOST * 5]
        seen = [row for row in rows if asking.by.can(Ability.VIEW, topic=row.topic)][:MOST]
        return [_row(row, asking) for row in seen]


def _row(row: TopicValue, asking: Asking) -> JsonObject:
    value = row.value if row.value is not None else bytes(row.payload).decode(errors="replace")[:LONGEST]
    age = max(0, int((asking.now - row.at).total_seconds()))
    return {"topic": row.topic, "value": value, "seconds_ago": age, "quality": row.quality}
