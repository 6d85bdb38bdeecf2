"""Who asks, in a request: basic or bearer authentication by a stored secret."""

import base64
from collections.abc import Mapping

from pydantic import model_validator

from appliance.actions.contract import ActionRefused, Params
from appliance.actions.secret_places import Reference
from appliance.expressions.fields import TextField
from appliance.lib.jsontypes import JsonValue
from appliance.lib.masking import KNOWN


class Auth(Params):
    """A user with a password, or a token."""

    user: TextField | None = None
    """The user's name."""
    password: Reference | None = None
    """The password, as ``secret:NAME``."""
    bearer: Reference | None = None
    """A token instead of both, as ``secret:NAME``."""

    @model_validator(mode="after")
    def _one_way(self) -> "Auth":
        basic = (self.user is not None, self.password is not None)
        if basic not in ((True, True), (False, False)) or any(basic) is (self.bearer is not None):
            raise ValueError("give user: and password:, or bearer:")
        return self


def authorization(opened: Mapping[str, JsonValue]) -> str:
    """The value of the header, of the opened arguments. Raises ActionRefused."""
    if opened.get("bearer") is not None:
        return f"Bearer {opened['bearer']}"
    user, password = str(opened["user"]), str(opened["password"])
    if ":" in user:
        raise ActionRefused("the user's name has a colon, which basic authentication cannot say")
    together = f"{user}:{password}"
    KNOWN.learn(together)  # in base64 the password alone is not to be recognised
    return f"Basic {base64.b64encode(together.encode()).decode()}"
