"""The definition of a task: models of the YAML, validated, canonical, immutable."""

from appliance.lib.located.issues import Issue
from appliance.tasks.definition.chat import ChatSpec
from appliance.tasks.definition.header import Gate, Limit, Overlap
from appliance.tasks.definition.steps import Retry, StepSpec
from appliance.tasks.definition.task import DefinitionError, TaskDefinition, define
from appliance.tasks.definition.triggers import MqttSpec, Trigger, WebhookSpec
from appliance.tasks.definition.vocabulary import (
    Backoff,
    Confirm,
    Misfire,
    OnError,
    OverlapPolicy,
    PayloadFormat,
    TriggerKind,
    WebhookAuth,
)

__all__ = [
    "Backoff",
    "ChatSpec",
    "Confirm",
    "DefinitionError",
    "Gate",
    "Issue",
    "Limit",
    "Misfire",
    "MqttSpec",
    "OnError",
    "Overlap",
    "OverlapPolicy",
    "PayloadFormat",
    "Retry",
    "StepSpec",
    "TaskDefinition",
    "Trigger",
    "TriggerKind",
    "WebhookAuth",
    "WebhookSpec",
    "define",
]
