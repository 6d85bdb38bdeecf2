"""DingTalk's keys in a platform configuration: an app that talks and listens, or a group's robot that only talks."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
_OF_APP = ("client_secret", "robot_code", "card_template", "corp_id", "conversation")


class DingTalkConfig(PlatformConfig):
    """Either ``client_id`` and ``client_secret`` (an app), or ``access_token`` (the custom robot of one group)."""

    client_id: Word | None = None
    """The app's Client ID, formerly AppKey."""
    client_secret: Secret | None = None
    robot_code: Word | None = None
    """The robot's code where it is not the Client ID."""
    card_template: Word | None = None
    """A published card template with the variables that docs/how-to/dingtalk.md names; without it no buttons."""
    corp_id: Word | None = None
    """The organisation: a button that somebody of another one pressed counts for nothing."""
    conversation: Word | None = None
    """Where an app's messages without a recipient go: a user id, or a group's ``cid…=``."""
    access_token: Secret | None = None
    """Of the robot's webhook address; the whole address does as well."""
    secret: Secret | None = None
    """What the robot's messages are signed with, ``SEC…``; not needed with another of its security settings."""
    proxy: Proxy | None = None
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Instead of ``https://api.dingtalk.com`` (app) or ``https://oapi.dingtalk.com`` (robot)."""

    @model_validator(mode="after")
    def _one_form(self) -> "DingTalkConfig":
        if (self.client_id is None) == (self.access_token is None):
            raise ValueError(
                "expected client_id and client_secret (an app), or access_token (a group's robot)"
            )
        if self.client_id is not None:
            if self.client_secret is None:
                raise ValueError("expected client_secret beside client_id")
            if self.secret is not None:
                raise ValueError("secret belongs to a group's robot; an app has client_secret")
        else:
            for key in _OF_APP:
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} belongs to an app; a group's robot has access_token and secret")
        return self
