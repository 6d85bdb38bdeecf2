"""DingTalk's keys in a platform configuration: an app that talks and listens, or a group's robot that only talks."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret
from appliance.lib.said import say

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
_OF_APP = ("client_secret", "robot_code", "card_template", "corp_id", "conversation")


class DingTalkConfig(RemoteConfig):
    """Either ``client_id`` and ``client_secret`` (an app), or ``access_token`` (the custom robot of one group)."""

    client_id: Word | None = Field(None, title="Client ID")
    """Of an app, formerly AppKey. Leave it empty for a group's robot."""
    client_secret: Secret | None = Field(None, title="Client Secret")
    """Of an app; beside the Client ID."""
    robot_code: Word | None = Field(None, title="Robot code")
    """The robot's code where it is not the Client ID."""
    card_template: Word | None = Field(None, title="Card template")
    """The id of a published card template, `….schema`, with the variables that the manual names; without it there are
    no buttons."""
    corp_id: Word | None = Field(None, title="Organisation")
    """Its CorpId, `ding…`: a button that somebody of another one pressed counts for nothing."""
    conversation: Word | None = Field(None, title="Where messages go")
    """Of an app's messages without a recipient: a user id, or a group's `cid…=`. Empty: to the first person who is
    linked."""
    access_token: Secret | None = Field(None, title="Robot's access token")
    """Of a group's robot: what stands behind `access_token=` in its address; the whole address does as well."""
    secret: Secret | None = Field(None, title="Robot's signing secret")
    """What the robot's messages are signed with, `SEC…`; not needed with another of its security settings."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Instead of `https://api.dingtalk.com` (app) or `https://oapi.dingtalk.com` (robot)."""

    @model_validator(mode="after")
    def _one_form(self) -> "DingTalkConfig":
        if (self.client_id is None) == (self.access_token is None):
            raise ValueError(
                say("expected client_id and client_secret (an app), or access_token (a group's robot)")
            )
        if self.client_id is not None:
            if self.client_secret is None:
                raise ValueError(say("expected client_secret beside client_id"))
            if self.secret is not None:
                raise ValueError(say("secret belongs to a group's robot; an app has client_secret"))
        else:
            for key in _OF_APP:
                if getattr(self, key) is not None:
                    raise ValueError(
                        say("%(key)s belongs to an app; a group's robot has access_token and secret", key=key)
                    )
        return self
