"""``alerts.list``: what the alert rules have found on the audit record."""

from typing import Annotated

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.alerts.models import Alert
from appliance.alerts.services import alerts
from appliance.lib.jsontypes import JsonObject, JsonValue


class AlertsListArguments(Arguments):
    rule: str = ""
    """Of this rule only."""
    most: Annotated[int, Field(ge=1, le=50)] = 10
    """How many."""


class AlertsListTool(QueryTool[AlertsListArguments]):
    name = "alerts.list"
    says = "List the last alerts of this box: which rule, what it is about, how often, and when."
    arguments = AlertsListArguments
    example = {"most": 5}

    def answer(self, given: AlertsListArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW_AUDIT)
        return [_row(one) for one in alerts(limit=given.most, rule=given.rule[:60])]


def _row(one: Alert) -> JsonObject:
    return {
        "rule": one.rule,
        "severity": one.severity,
        "reason": one.reason,
        "kind": one.kind,
        "principal": one.principal,
        "about": one.subject,
        "count": one.count,
        "first": f"{one.opened_at:%Y-%m-%dT%H:%M:%SZ}",
        "last": f"{one.last_at:%Y-%m-%dT%H:%M:%SZ}",
    }
