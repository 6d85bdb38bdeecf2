"""``shell``: run a command, confined: by the process sandbox, or in a container without a network."""

from typing import Literal

from pydantic import model_validator

from appliance.actions.command import CommandAction, CommandParams, effect_elsewhere
from appliance.actions.contract import Connect, EffectClass, StepContext
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.safety.understood import IN_CONTAINER
from appliance.sandbox.docker.client import Where
from appliance.sandbox.images import digest_of
from appliance.sandbox.ports import Job, Outcome

IMAGE = "shell"
"""The name under which an administrator pins the image of such steps."""


class ShellParams(CommandParams):
    sandbox: Literal["process", "docker"] = "process"
    """``process``: the programs of this machine. ``docker``: those of the image that is pinned as ``shell``, in a
    container made as the template ``strict`` of the kind ``container``: no network, and ``reads`` and ``writes`` only
    below what the settings name."""

    @model_validator(mode="after")
    def _needs_a_network(self) -> "ShellParams":
        if self.network and self.sandbox == IN_CONTAINER:
            raise ValueError(
                say(
                    "with sandbox: docker there is no network: "
                    "take type: container with template: net, or network: none"
                )
            )
        return self


class ShellAction(CommandAction[ShellParams]):
    name = "shell"
    params = ShellParams

    def effect(self, params: ShellParams) -> EffectClass:
        """As its command; ``idempotent`` at least where that runs in a container."""
        here = super().effect(params)
        return effect_elsewhere(here) if params.sandbox == IN_CONTAINER else here

    async def pinned(self, arguments: JsonObject, connect: Connect) -> JsonObject:
        """For a container with the image's ``digest``, as of the kind ``container``."""
        if arguments.get("sandbox") != IN_CONTAINER:
            return arguments
        async with connect() as connection:
            return {**arguments, "image": IMAGE, "digest": await digest_of(connection, IMAGE)}

    async def run(self, job: Job, arguments: JsonObject, context: StepContext) -> Outcome:
        if arguments.get("sandbox") != IN_CONTAINER:
            return await context.services.run_confined(job, context.on_output)
        where = Where(str(arguments["digest"]), run=str(context.run_id), step=context.step_id)
        return await context.services.run_contained(job, where, context.on_output)
