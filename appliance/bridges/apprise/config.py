"""The keys of a platform that is reached through apprise."""

from typing import Annotated

from pydantic import AfterValidator, Field

from appliance.bridges.addresses import service_address
from appliance.bridges.apprise.catalogue import service_of
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret


def _known(address: Secret) -> Secret:
    """One that is given by its name is looked at when it is used."""
    if address.is_literal:
        service_of(address.root)
    return address


class AppriseConfig(RemoteConfig):
    """``apprise`` is the address as apprise's manual has it. The whole of it is a secret: most carry a token."""

    apprise: Annotated[Secret, AfterValidator(_known), Field(title="Address")]
    """As apprise's manual has it, such as `discord://ID/TOKEN` or `mailtos://…`. The whole of it is a secret: most
    carry a token."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """A relay of your own: every HTTP request goes there, with its path, and not to the service."""
