"""Models over HTTP: what there is, how it is, load, unload, and one prompt."""

from datetime import UTC, datetime
from typing import Annotated, Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.inference import services
from appliance.inference.acceptance import services as acceptance
from appliance.inference.overview import find_model, keeper, overview, plain
from appliance.inference.trying import LONGEST_PROMPT, Piece, ask
from webadmin.api.auth import caller

router = Router(tags=["models"])


class TryOut(Schema):
    """One try of the tests. ``passed`` null: it is under way. ``results``: of each test name, passed, figure, limit,
    bound, unit, detail and seconds."""

    id: int
    version: str
    digest: str
    passed: bool | None
    reason: str
    started_at: str
    finished_at: str | None
    by: str
    results: list[dict[str, Any]]


class CandidateOut(Schema):
    """A version that goes live once its tests have passed. ``state``: waiting, testing, refused."""

    version: str
    digest: str
    engine: str
    context: int
    slots: int
    device: str
    state: str
    reason: str
    by: str
    tested: TryOut | None


class ModelOut(Schema):
    """``state``: not served, missing, unknown (the keeper is away), absent, creating, loading, ready, draining,
    stopping, failed, quarantined. Sizes are bytes, times seconds; ``keep_alive`` null: always loaded.
    ``tokens_per_second`` is of all answers under way, ``last_speed`` that of the last whole one."""

    name: str
    state: str
    reason: str
    progress: str
    served: bool
    version: str | None
    previous: str | None
    versions: list[str]
    engine: str | None
    context: int | None
    slots: int | None
    device: str | None
    keep_alive: float | None
    revision: int | None
    format: str | None
    size: int | None
    quantisation: str | None
    in_use: int
    waiting: int
    device_bytes: int
    memory_bytes: int
    load_seconds: float | None
    tokens_per_second: float
    last_speed: float | None
    candidate: CandidateOut | None
    acceptance: TryOut | None
    golden_changed: bool


class PromptIn(Schema):
    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]


class AnswerOut(Schema):
    """``tokens`` are pieces as they came; ``seconds`` from the lease to the last one."""

    model: str
    version: str
    engine: str
    text: str
    tokens: int
    seconds: float


@router.get("", response=list[ModelOut], summary="Models on this box, and how they are")
def list_models(request: HttpRequest) -> list[dict[str, Any]]:
    caller(request, Ability.VIEW)
    return [plain(row) for row in overview().rows]


@router.get("/{name}", response=ModelOut, summary="One model")
def show_model(request: HttpRequest, name: str) -> dict[str, Any]:
    caller(request, Ability.VIEW)
    return plain(find_model(name))


@router.post("/{name}/load", response=ModelOut, summary="Load a model now")
def load_model(request: HttpRequest, name: str) -> dict[str, Any]:
    services.load(name, caller(request, Ability.MANAGE_MODELS).principal)
    return plain(find_model(name))


@router.post("/{name}/unload", response=ModelOut, summary="Give the memory of a model back")
def unload_model(request: HttpRequest, name: str) -> dict[str, Any]:
    services.unload(name, caller(request, Ability.MANAGE_MODELS).principal)
    return plain(find_model(name))


@router.post("/{name}/accept", response=ModelOut, summary="Test a candidate again, or what is live")
def accept_model(request: HttpRequest, name: str) -> dict[str, Any]:
    acceptance.accept(name, caller(request, Ability.MANAGE_MODELS).principal, datetime.now(UTC))
    return plain(find_model(name))


@router.post("/{name}/drop", response=ModelOut, summary="Give a candidate up; what is live stays")
def drop_model(request: HttpRequest, name: str) -> dict[str, Any]:
    acceptance.drop(name, caller(request, Ability.MANAGE_MODELS).principal, datetime.now(UTC))
    return plain(find_model(name))


@router.post("/{name}/test", response=AnswerOut, summary="Ask a model something")
def test_model(request: HttpRequest, name: str, body: PromptIn) -> AnswerOut:
    who = caller(request, Ability.USE_MODELS)
    return async_to_sync(_answer)(body.prompt, who.principal, name)


async def _answer(prompt: str, by: Principal, name: str) -> AnswerOut:
    found: list[Piece] = [piece async for piece in ask(keeper(), prompt, by, model=name)]
    chosen, last = found[0].chosen, found[-1]
    assert chosen is not None
    text = "".join(piece.text for piece in found)
    return AnswerOut(
        model=chosen.model,
        version=chosen.version,
        engine=chosen.engine.value,
        text=text,
        tokens=last.tokens,
        seconds=round(last.seconds, 3),
    )
