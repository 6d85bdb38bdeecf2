"""What the box has to run models on, over HTTP."""

from django.http import HttpRequest
from ninja import Router, Schema

from appliance.accounts.domain import Ability
from appliance.inference.hardware.reading import this_machine
from appliance.inference.hardware.table import to_json
from webadmin.api.auth import caller

router = Router(tags=["hardware"])


class ProcessorOut(Schema):
    """``cores``: that this box may use."""

    name: str
    cores: int
    features: list[str]


class AcceleratorOut(Schema):
    """``memory_kind``: dedicated, or unified where it uses the machine's own. Null is what its driver does not say."""

    id: str
    vendor: str
    name: str
    memory_kind: str
    memory_total: int | None
    memory_used: int | None
    architecture: str
    driver: str
    cdi: str
    nodes: list[str]


class HardwareOut(Schema):
    """Sizes are bytes. ``runtimes``: execution providers; ``runtimes_asked``: onnxruntime itself said so.
    ``notes``: what is there and cannot be used, and why."""

    processor: ProcessorOut
    memory_total: int
    memory_available: int
    accelerators: list[AcceleratorOut]
    runtimes: list[str]
    runtimes_asked: bool
    notes: list[str]


@router.get("", response=HardwareOut, summary="Processor, memory and accelerators of this machine")
def hardware(request: HttpRequest) -> HardwareOut:
    """At most five seconds old."""
    caller(request, Ability.VIEW)
    return HardwareOut.model_validate(to_json(this_machine.get()))
