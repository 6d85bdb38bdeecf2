"""Which effects a budget or a condition of the plant is about: conditions as rules have them, but for commands."""

from typing import Annotated

from appliance.lib.located.fields import Model
from appliance.safety.policy.fields import LISTED, Filters, Patterns
from appliance.safety.policy.vocabulary import Origin


class Selection(Model):
    """All that are given must hold; without any it takes every effect."""

    kinds: Patterns | None = None
    """Kinds of action, with * and ?."""
    topic: Filters | None = None
    """MQTT topic filters; only publishing (``mqtt``) has a topic."""
    device: Patterns | None = None
    """Names of devices."""
    task: Patterns | None = None
    """Names of tasks."""
    principal: Patterns | None = None
    """On whose authority, as user:ana, token:*, trigger:overheat/*, agent:*."""
    origin: Annotated[tuple[Origin, ...], *LISTED] | None = None
    """What started the run."""
