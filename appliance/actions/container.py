"""``container``: a command in a container of its own, made in one of a few fixed ways. Needs an engineer."""

from typing import Annotated

from pydantic import Field, model_validator

from appliance.actions.command import CommandAction, CommandParams, effect_elsewhere
from appliance.actions.contract import Connect, EffectClass, StepContext
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.sandbox.docker.client import Where
from appliance.sandbox.docker.request import TemplateName
from appliance.sandbox.docker.templates import TEMPLATES
from appliance.sandbox.images import REFERENCE, digest_of
from appliance.sandbox.ports import Job, Outcome


class ContainerParams(CommandParams):
    image: Annotated[str, Field(pattern=rf"^{REFERENCE}$")]
    """The image: a name that an administrator has pinned (`manage.py images pin`), or a digest, ``sha256:…``."""
    template: TemplateName = "strict"
    """``strict``: no network. ``net``: a network of the box's own that leads nowhere else. ``device``: the device
    files that the settings name. ``trusted``: the engine's network, for images that the settings name."""
    reads: tuple[str, ...] = ()
    """Absolute paths of this machine that it may read, below what MILLWRIGHT_CONTAINER_READS names."""
    writes: tuple[str, ...] = ()
    """Absolute paths that it may write, below what MILLWRIGHT_CONTAINER_WRITES names."""

    @model_validator(mode="after")
    def _needs_a_network(self) -> "ContainerParams":
        if self.network and TEMPLATES[self.template].network == "none":
            raise ValueError(
                say(
                    "the template %(template)s has no network: take net or trusted, or network: none",
                    template=self.template,
                )
            )
        return self


class ContainerAction(CommandAction[ContainerParams]):
    name = "container"
    params = ContainerParams

    def effect(self, params: ContainerParams) -> EffectClass:
        """``idempotent`` where the command only reads and nothing but its output leaves the container."""
        if TEMPLATES[params.template] != TEMPLATES["strict"]:
            return EffectClass.UNSAFE
        return effect_elsewhere(super().effect(params))

    async def pinned(self, arguments: JsonObject, connect: Connect) -> JsonObject:
        """With the image's ``digest``: a name that is pinned anew between approval and effect is another action."""
        async with connect() as connection:
            return {**arguments, "digest": await digest_of(connection, str(arguments["image"]))}

    async def run(self, job: Job, arguments: JsonObject, context: StepContext) -> Outcome:
        template: TemplateName = next(t for t in TEMPLATES if t == arguments["template"])
        where = Where(str(arguments["digest"]), template, str(context.run_id), context.step_id)
        return await context.services.run_contained(job, where, context.on_output)
