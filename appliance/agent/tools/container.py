"""``container``: a command in a container of its own, of an image that the author names."""

from typing import Annotated

from pydantic import Field

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify
from appliance.sandbox.docker.request import TemplateName
from appliance.sandbox.images import REFERENCE


class ContainerArguments(Arguments):
    command: str
    """The command, as for the image's /bin/sh."""
    image: Annotated[str, Field(pattern=rf"^{REFERENCE}$")]
    """The image, by the name that an administrator has pinned."""
    template: TemplateName = "strict"
    """How it is confined."""
    reads: tuple[str, ...] = ()
    """Absolute paths of this machine that it may read."""
    writes: tuple[str, ...] = ()
    """Absolute paths that it may write."""


class ContainerTool(Tool[ContainerArguments]):
    name = "container"
    says = "Run a command in a container of its own; gives its standard output."
    arguments = ContainerArguments
    risk = Risk.CHANGE
    by_author = frozenset({"image", "template", "reads", "writes"})
    must_fix = frozenset({"image"})
    example = {"command": "python3 -c 'print(6 * 7)'"}
    example_fixed = {"image": "tools"}
    also = ({"command": "cat /etc/os-release"},)

    def step(self, given: ContainerArguments) -> JsonObject:
        said = given.model_dump(mode="json", exclude_defaults=True)
        return {"type": "container", **said}

    def risk_of(self, given: ContainerArguments) -> Risk:
        """At least a change: nobody knows the programs of an image."""
        found, _ = classify("container", {"command": {"script": given.command, "arguments": []}})
        return Risk.DESTROY if found is CommandClass.DESTROY else Risk.CHANGE
