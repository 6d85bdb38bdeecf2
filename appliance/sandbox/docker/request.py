"""The door of guard: verbs, never the engine's API. What is not named here does not get through."""

import ipaddress
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from appliance.sandbox.docker.closed import Closed, FileName, ImageName, Place, Text, plain
from appliance.sandbox.docker.model_request import ModelDevice, ModelRequest
from appliance.sandbox.ports import LONGEST_LABEL, Limits
from appliance.sandbox.process.request import Refused

TemplateName = Literal["strict", "net", "device", "trusted"]


EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,200}$")]
RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{0,36}$")]


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


class JobLimits(Closed):
    """As ``ports.Limits``; a template caps them further."""

    memory: int = Field(ge=6 << 20, le=1 << 50)
    processes: int = Field(ge=1, le=1 << 16)
    open_files: int = Field(ge=16, le=1 << 20)
    file_bytes: int = Field(ge=0, le=1 << 50)
    cpu_seconds: int | None = Field(ge=1, le=1 << 30)


class KeptFile(Closed):
    """What is kept of a checkpoint file; ``initial`` bytes of an earlier one follow the request."""

    limit: int = Field(ge=1, le=48 << 20)
    every: float = Field(gt=0, le=86400)
    initial: int = Field(ge=0, le=48 << 20)


class Reach(Closed):
    """Where a job may connect to: an address or a network, and a port; 0 stands for all."""

    network: Annotated[str, AfterValidator(_network)]
    port: int = Field(default=0, ge=0, le=65535)


Reaches = Annotated[tuple[Reach, ...], Field(max_length=1024)]


class JobRequest(Closed):
    """One job in one container."""

    image: ImageName
    argv: tuple[Text, ...] = Field(min_length=1, max_length=4096)
    env: dict[EnvName, Text] = Field(max_length=1024)
    files: dict[FileName, Text] = Field(default={}, max_length=64)
    """What lies in the working folder from the beginning."""
    timeout: float = Field(gt=0, le=7 * 86400, allow_inf_nan=False)
    reads: tuple[Place, ...] = Field(max_length=64)
    writes: tuple[Place, ...] = Field(max_length=64)
    output_limit: int = Field(ge=0, le=16 << 20)
    limits: JobLimits
    live: bool
    checkpoint: KeptFile | None
    run: RunId
    step: Annotated[str, StringConstraints(max_length=200), AfterValidator(plain)]
    network: Reaches | None = None
    must_limit: bool = False
    """Whether the job is not to run where ``network`` cannot be enforced."""


class RunRequest(JobRequest):
    """A step's, or whoever's: in one of the templates."""

    verb: Literal["run"]
    template: TemplateName


class ModelJob(JobRequest):
    """A tool that makes another model of one, from an image that the settings name for it; ``ModelJobs`` says what of
    all this it may have."""

    verb: Literal["model_job"]
    device: ModelDevice | None = None


class WatchRequest(Closed):
    """A control group with rules for a job that somebody else starts. It ends when the client shuts its side.

    ``devices``: the device files, and folders of such, that the job was given; None for no limit.
    """

    verb: Literal["watch"]
    network: Reaches | None
    devices: Annotated[tuple[Place, ...], Field(max_length=64)] | None


class UnwatchedRequest(Closed):
    """A job that somebody else has started without rules runs until the client shuts its side: ``label`` names it."""

    verb: Literal["unwatched"]
    label: Annotated[str, Field(max_length=LONGEST_LABEL)]


class CancelRequest(Closed):
    """End the containers of one run; of all runs where none is named."""

    verb: Literal["cancel"]
    run: RunId = ""


class ListRequest(Closed):
    verb: Literal["list"]


class ProbeRequest(Closed):
    verb: Literal["probe"]


class RefusalsRequest(Closed):
    """What was refused lately, to whomever."""

    verb: Literal["refusals"]


class CleanupRequest(Closed):
    """Remove the containers of this home that no living job has."""

    verb: Literal["cleanup"]


Request = (
    RunRequest
    | ModelJob
    | WatchRequest
    | UnwatchedRequest
    | CancelRequest
    | ListRequest
    | ProbeRequest
    | RefusalsRequest
    | CleanupRequest
    | ModelRequest
)
_ANY: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])

STANDARD_LIMITS = Limits()


def parse_request(raw: bytes) -> Request:
    """Read a request. Raises Refused, with the place of the first thing that is wrong, not what stood there."""
    try:
        request = _ANY.validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "request"
        raise Refused(f"The request is not taken: {place}: {first['msg']}.", _hint(place)) from error
    if isinstance(request, JobRequest):
        if not request.argv[0]:
            raise Refused("The job has no command.")
        if request.checkpoint and request.checkpoint.initial > request.checkpoint.limit:
            raise Refused("The earlier checkpoint is larger than one may be.")
    return request


def _hint(place: str) -> str | None:
    if place == "image":
        return "Name the image by its digest: sha256:… of `docker image inspect`, or repository@sha256:…"
    return None
