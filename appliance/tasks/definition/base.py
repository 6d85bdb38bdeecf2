"""What every definition model and field has in common."""

from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from appliance.bus.places import NAME as BROKER
from appliance.lib.errors import MillwrightError
from appliance.lib.located.fields import Duration, Model, Pause, refusal, refuse
from appliance.lib.said import say
from appliance.safety.references import NAME as SECRET
from appliance.safety.references import REFERENCE
from appliance.sandbox.ports import FILE_NAME

__all__ = ["Duration", "Model", "Pause", "checked", "refusal", "refuse"]

NAME = r"^\w[\w.-]*$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_-]*$"
SLUG = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
PLATFORM = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
HEADER = r"^[A-Za-z0-9-]+$"
TOOL = r"^[A-Za-z][A-Za-z0-9_.-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
CACHE_KEY = r"^[^\s{}][^{}\n]*$"

PATTERNS = {
    BROKER: say("the name of a broker: small letters, digits, - and _"),
    NAME: say("letters, digits and _ . - without blanks"),
    IDENTIFIER: say("a letter or _, then letters, digits, _ and -"),
    SLUG: say("letters, digits, _ and -"),
    PLATFORM: say("the name of a platform, as on the page Platforms"),
    HEADER: say("the name of a header, as X-Hub-Signature-256"),
    TOOL: say("a letter, then letters, digits and _ . -"),
    VARIABLE: say("a letter or _, then letters, digits and _"),
    CACHE_KEY: say("a fixed name, without expressions"),
    f"^{SECRET}$": say("the name of a stored secret: letters, digits and _ . -"),
    REFERENCE: say("a stored secret, as secret:API_KEY"),
    FILE_NAME: say("the name of a file: letters, digits and _ . -, without folders"),
}
"""What each pattern asks for, in words."""

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]
"""Of a task: letters of any script."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER, max_length=60)]
"""Of a step or trigger."""

Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=64)]
"""A part of an address, or the name of a secret."""

BrokerName = Annotated[str, StringConstraints(pattern=BROKER)]
"""Of a broker that is connected beside the box's own."""

PlatformName = Annotated[str, StringConstraints(pattern=PLATFORM, max_length=64)]
"""Of a platform on which people write."""

HeaderName = Annotated[str, StringConstraints(pattern=HEADER, max_length=64)]
ToolName = Annotated[str, StringConstraints(pattern=TOOL, max_length=64)]
"""By which another program calls a task."""
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE, max_length=60)]
CacheKey = Annotated[str, StringConstraints(pattern=CACHE_KEY, max_length=200)]


def checked(check: Any) -> BeforeValidator:
    """A validator of text that keeps the sentence and the hint of our own errors."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise refuse(say("this must be text"), say("put it in quotes"))
        try:
            return check(value)
        except MillwrightError as error:
            raise refusal(error) from error

    return BeforeValidator(validate)
