"""The contract of an action kind, the generic kinds, and how they are found."""

from appliance.actions.contract import ActionKind, EffectClass, StepContext, StepResult
from appliance.actions.registry import registry

__all__ = ["ActionKind", "EffectClass", "StepContext", "StepResult", "registry"]
