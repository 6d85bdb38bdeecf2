"""`/v1` of the running web process, with OpenAI's own client, a real keeper and real llama.cpp."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from openai import AsyncOpenAI, OpenAI

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX, Principal
from appliance.accounts.services import create_user
from appliance.accounts.tokens import issue_api_token, revoke_api_token
from appliance.audit.models import AuditRecord
from appliance.inference.gateway.ledger import tell_hours
from appliance.inference.gateway.meter import Limit
from appliance.inference.gateway.quotas import set_quota
from appliance.inference.models import ModelUse
from appliance.lib.config import Config
from appliance.safety.allstop import Level, engage, release
from tests.integration.webadmin.web_process import web_process
from tests.served_models import far_served, kept, tiny_served
from tests.spawner import start_spawner
from tests.standins.model_engine import chat
from tests.standins.server import Asked, Standin, Told
from tests.visitor import PASSWORD
from tests.wait import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MESSAGES: Any = [{"role": "user", "content": "hi"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}, "room": {"enum": [1, 2]}},
    "required": ["on", "room"],
    "additionalProperties": False,
}
HORN: Any = {
    "type": "object",
    "properties": {"tone": {"enum": ["low", "high"]}},
    "required": ["tone"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "light", "parameters": SCHEMA}}]
OTHER: Any = {"type": "function", "function": {"name": "horn", "parameters": HORN}}


class Elsewhere(Standin):
    """A server of somebody else's, which says hello."""

    def answer(self, asked: Asked) -> Told:
        if asked.method == "GET":
            return Told(body={"data": [{"id": "far"}]})
        if asked.json.get("stream"):
            return Told(body=b"".join(chat("Hel", "lo")), headers={"Content-Type": "text/event-stream"})
        return Told(body={"choices": [{"message": {"content": "OK"}}], "usage": {"completion_tokens": 1}})


@pytest.fixture(scope="module")
def far() -> Iterator[Elsewhere]:
    with Elsewhere() as server:
        yield server


@pytest.fixture(scope="module")
def place(
    engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory, far: Elsewhere
) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-models-"))
    folder.chmod(0o755)
    spawner = start_spawner(folder)
    models = [
        tiny_served(folder / "models"),
        tiny_served(folder / "models", "vectors", vectors=True),
        far_served(folder / "models", far.root),
    ]
    settings = {"MILLWRIGHT_REMOTE_MODELS": far.root}
    try:
        with (
            kept(models, folder, engines.home.keeper_socket, spawner.sandbox, settings),
            web_process(engines, tmp_path_factory.mktemp("web")) as place,
        ):
            yield place
    finally:
        spawner.stop()
        shutil.rmtree(folder)


@pytest.fixture
def ann(place: str) -> User:
    return create_user("ann", PASSWORD, Role.OPERATOR, BOX)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of the test's token: the web process counts what each has used, and lives longer than a test."""
    return str(request.node.name)[:60]


@pytest.fixture
def token(ann: User, name: str) -> str:
    return issue_api_token(ann, name, [Ability.USE_MODELS], BOX, datetime.now(UTC))


@pytest.fixture
def client(place: str, token: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"http://{place}/v1", api_key=token, max_retries=0) as client:
        yield client


def test_openais_client_gets_answers_whole_and_in_pieces(client: OpenAI, name: str) -> None:
    given: Any = {"model": "tiny", "messages": MESSAGES, "max_tokens": 8, "temperature": 0, "seed": 1}
    whole = client.chat.completions.with_raw_response.create(**given)
    assert whole.headers["x-millwright-model"] == "tiny@1"
    answer = whole.parse()
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.choices[0].finish_reason == "length"

    pieces = list(client.chat.completions.create(**given, stream=True))
    assert all(piece.choices for piece in pieces)
    said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert said == answer.choices[0].message.content
    counted = list(
        client.chat.completions.create(**given, stream=True, stream_options={"include_usage": True})
    )
    assert counted[-1].usage is not None
    assert counted[-1].usage.completion_tokens == 8

    text = client.completions.create(model="tiny", prompt="once", max_tokens=4)
    assert text.usage is not None
    assert text.usage.completion_tokens == 4

    wait_for(lambda: ModelUse.objects.filter(token=f"token:ann/{name}", requests=4, generated_tokens=28))
    ModelUse.objects.update(told_at=datetime(2026, 1, 1, tzinfo=UTC))
    tell_hours(datetime.now(UTC))
    record = AuditRecord.objects.filter(kind="model.used").latest("seq")
    assert json.loads(record.body)["principal"] == f"token:ann/{name}"
    assert '"requests":4' in record.body.replace(" ", "")


def test_a_schema_and_a_forced_tool_give_what_they_say(client: OpenAI) -> None:
    shaped: Any = {"type": "json_schema", "json_schema": {"name": "light", "schema": SCHEMA, "strict": True}}
    given: Any = {"model": "tiny", "messages": MESSAGES, "temperature": 0, "max_tokens": 300}
    answer = client.chat.completions.create(**given, response_format=shaped)
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), SCHEMA)

    choice: Any = {"type": "function", "function": {"name": "light"}}
    wanted: Any
    for tools, wanted in ((TOOLS, choice), (TOOLS, "required"), ([*TOOLS, OTHER], "required")):
        answer = client.chat.completions.create(**given, tools=tools, tool_choice=wanted)
        assert answer.choices[0].finish_reason == "tool_calls"
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert not answer.choices[0].message.content
        schema = {"light": SCHEMA, "horn": HORN}[call.function.name]
        jsonschema.validate(json.loads(call.function.arguments), schema)
    with pytest.raises(openai.BadRequestError, match="cannot do tools"):
        client.chat.completions.create(**given, tools=TOOLS)


def test_a_model_elsewhere_is_not_asked_while_nothing_may_leave_the_box(
    client: OpenAI, far: Elsewhere, engines: Config
) -> None:
    """The keeper of this test knows of no stop: it is the gateway that refuses."""
    given: Any = {"model": "far", "messages": MESSAGES}
    assert client.chat.completions.create(**given).choices[0].message.content == "Hello"
    asked = len(far.asked("/v1/chat"))
    engage(Level.CUT, "a leak", BOX, datetime.now(UTC), engines.home.path)
    try:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="nothing leaves the box") as caught:
                client.chat.completions.create(**given, stream=stream)
            assert caught.value.code == "allstop.engaged"
        assert len(far.asked("/v1/chat")) == asked
    finally:
        release("mended", Principal("user:ida", Role.ADMIN), datetime.now(UTC), engines.home.path)
    assert client.chat.completions.create(**given).choices[0].message.content == "Hello"


def test_vectors_and_the_list_of_models(client: OpenAI) -> None:
    one, other = client.embeddings.create(model="vectors", input=["on", "off"]).data
    assert len(one.embedding) == len(other.embedding) == 256
    plain = client.embeddings.create(model="auto", input="on", encoding_format="float").data[0].embedding
    assert plain == pytest.approx(one.embedding, abs=1e-5)
    assert {model.id for model in client.models.list()} == {"tiny", "vectors", "far"}
    assert client.models.retrieve("tiny").owned_by == "millwright"


def test_refusals_are_errors_of_openais_client(client: OpenAI, place: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="tokens") as caught:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x" * 5000}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=MESSAGES, n=3)
    assert caught.value.param == "n"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="mw_nobody").models.list()
    with httpx.Client(base_url=f"http://{place}") as stranger:
        assert stranger.get("/v1/models").status_code == 401
        assert "access-control-allow-origin" not in stranger.options("/v1/models").headers


def test_the_days_share_is_a_rate_limit(client: OpenAI, name: str) -> None:
    set_quota(f"token:ann/{name}", Limit(requests=1), BOX, datetime.now(UTC))
    client.completions.create(model="tiny", prompt="once", max_tokens=1)
    with pytest.raises(openai.RateLimitError, match="renews at") as caught:
        client.completions.create(model="tiny", prompt="once", max_tokens=1)
    assert caught.value.code == "insufficient_quota"
    record = AuditRecord.objects.filter(kind="model.refused").latest("seq")
    assert "once" not in record.body


async def test_a_revoked_token_ends_its_stream_within_five_seconds(place: str, token: str) -> None:
    began: list[float] = []

    def revoke() -> None:
        revoke_api_token(ApiToken.objects.get().pk, BOX, datetime.now(UTC))
        began.append(time.monotonic())

    async def listen(client: AsyncOpenAI) -> None:
        """One answer after another; the token ends with the first piece."""
        while True:
            async for _ in await client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True):
                if not began:
                    await sync_to_async(revoke)()

    async with AsyncOpenAI(base_url=f"http://{place}/v1", api_key=token, max_retries=0) as client:
        with pytest.raises(openai.APIError, match="token"):
            await listen(client)
    assert time.monotonic() - began[0] < 5
    await sync_to_async(connections.close_all)()
