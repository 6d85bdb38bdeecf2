"""A step has the value of a secret while it acts, and nothing of it stays."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.granting import grant
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed
from appliance.accounts.services import create_user, get_user
from appliance.safety.secrets import remove_secret, set_secret
from appliance.tasks.errors import TaskFileError
from appliance.tasks.services import apply_text
from tests.integration.runs.conftest import Engine, outcome, task
from tests.integration.runs.test_policy import put

VALUE = "correct-horse-ß-42"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers with what it was asked; gives its port and the requests."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in asked.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ),
            0,
        )
        asked += await reader.readexactly(length)
        seen.append(asked)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(asked) + asked)
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1], seen
    finally:
        running.close()
        await running.wait_closed()


async def keep(name: str, value: str, engine: Engine) -> None:
    await sync_to_async(set_secret)(name, value, BOX, engine.clock.now())


def call(port: int, more: str) -> str:
    return task(
        f'    - {{id: c, type: http, url: "http://127.0.0.1:{port}/", allow_private: true, {more}}}\n'
    )


async def ledger(engine: Engine) -> str:
    """All that is kept of runs, as text."""
    tables = ("runs_run", "runs_step", "runs_checkpoint", "events_event", "audit_record", "tasks_taskversion")
    rows = [await engine.sql(f"SELECT t::text FROM {table} t") for table in tables]
    return json.dumps(rows, ensure_ascii=False)


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ('headers: {X-Key: "secret:k"}', b"X-Key: correct-horse-42"),
        ('headers: {Authorization: "Token secret:k"}', b"Authorization: Token correct-horse-42"),
        ("auth: {bearer: secret:k}", b"Authorization: Bearer correct-horse-42"),
        (
            "auth: {user: ana, password: secret:k}",
            b"Authorization: Basic " + base64.b64encode(b"ana:correct-horse-42"),
        ),
        (
            'method: POST, body: {login: [{key: secret:k}, "{{ 1 + 1 }}"]}',
            b'{"login": [{"key": "correct-horse-42"}, 2]}',
        ),
        ("method: POST, body: secret:k", b"\r\n\r\ncorrect-horse-42"),
    ],
)
async def test_a_request_has_it_where_it_is_named_and_an_answer_that_repeats_it_is_masked(
    engine: Engine, more: str, sent: bytes
) -> None:
    await keep("k", "correct-horse-42", engine)
    async with echo() as (port, seen):
        row = await engine.perform(await engine.begin(call(port, more)))
    assert (row["state"], len(seen)) == ("succeeded", 1)
    assert sent in seen[0]
    kept = await ledger(engine)
    assert "secret:k" in kept
    assert "correct-horse" not in kept
    assert base64.b64encode(b"ana:correct-horse-42").decode() not in kept


async def test_a_command_has_it_in_its_environment_and_as_a_file_and_nowhere_else(engine: Engine) -> None:
    await keep("k", VALUE, engine)
    keys = "env: {TOKEN: secret:k, PLAIN: x}, files: {key.pem: secret:k}"
    run_id = await engine.begin(task(f"    - {{id: c, type: shell, args: [curl, -K, key.pem], {keys}}}\n"))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    (job,) = engine.world.given
    assert job.env == {"TOKEN": VALUE, "PLAIN": "x"}
    assert job.files == {"key.pem": VALUE}
    assert job.argv == ("curl", "-K", "key.pem")
    assert VALUE not in repr(job)
    assert VALUE not in await ledger(engine)


async def test_a_payload_that_looks_like_a_reference_opens_no_secret(engine: Engine) -> None:
    await keep("k", VALUE, engine)
    more = 'method: POST, headers: {X: "{{ event.x }}"}, body: "{{ event.all }}"'
    async with echo() as (port, seen):
        await engine.load(call(port, more))
        run_id = await engine.start("t", {"event": {"x": "secret:k", "all": {"key": "secret:k"}}})
        assert (await engine.perform(run_id))["state"] == "succeeded"
    assert b"X: secret:k" in seen[0]
    assert b'{"key": "secret:k"}' in seen[0]


async def test_a_new_value_counts_from_the_next_step_on_and_the_old_one_stays_masked(engine: Engine) -> None:
    await keep("k", "first-value-1", engine)

    async def work(job: object) -> object:
        if len(engine.world.given) == 1:
            await keep("k", "second-value-2", engine)
        return outcome(stdout=b"first-value-1 second-value-2")

    engine.world.working = work  # type: ignore[assignment]
    step = "    - {{id: {}, type: shell, args: [curl], env: {{T: secret:k}}}}\n"
    await engine.perform(await engine.begin(task(step.format("a") + step.format("b"))))
    assert [job.env["T"] for job in engine.world.given] == ["first-value-1", "second-value-2"]
    kept = await ledger(engine)
    assert "first-value" not in kept
    assert "second-value" not in kept


async def test_one_that_is_forgotten_later_fails_the_step_and_says_why(engine: Engine) -> None:
    await keep("k", VALUE, engine)
    await engine.load(task("    - {id: c, type: shell, args: [curl], env: {T: secret:k}}\n"))
    await sync_to_async(remove_secret)("k", BOX)
    row = await engine.perform(await engine.start("t"))
    (step,) = await engine.sql("SELECT error FROM runs_step")
    assert (row["state"], engine.world.jobs) == ("failed", [])
    assert step["error"].startswith("there is no secret 'k'")
    with pytest.raises(TaskFileError, match="there is no secret `k`"):
        await engine.load(task("    - {id: c, type: shell, args: [wget], env: {T: secret:k}}\n"))


async def test_a_policy_can_speak_of_the_secrets_that_a_step_uses(engine: Engine) -> None:
    await keep("bank", VALUE, engine)
    await put(engine, 'rules: [{id: no-bank, secret: "ba*", decide: deny, reason: not from here}]')
    row = await engine.perform(
        await engine.begin(task("    - {id: c, type: shell, args: [curl], env: {T: secret:bank}}\n"))
    )
    assert (row["state"], engine.world.jobs) == ("failed", [])
    (step,) = await engine.sql("SELECT error FROM runs_step")
    assert step["error"] == "refused: not from here (rule box/no-bank)"


@pytest.fixture
def eve(clean: None) -> User:
    """An engineer of the tasks of line 3 alone."""
    create_user("eve", "hammer-and-anvil-7", Role.VIEWER, BOX)
    return get_user("eve")


async def test_who_edits_some_tasks_only_names_no_secret_that_was_not_granted(
    engine: Engine, eve: User
) -> None:
    text = task("    - {type: shell, args: [curl], env: {T: secret:line3-api}}\n").replace(
        "name: t", "name: line3-t"
    )

    def apply() -> None:
        apply_text(text, "t.yaml", get_user("eve").principal, engine.clock.now())

    await keep("line3-api", VALUE, engine)
    await sync_to_async(grant)(
        "eve", Grant(Role.ENGINEER, "line3-*", secrets="line1-*"), BOX, engine.clock.now()
    )
    with pytest.raises(NotAllowed, match="on line3-api, and that is not enough to use secrets"):
        await sync_to_async(apply)()
    text = text.replace("line3-api", "line3-apj")
    with pytest.raises(TaskFileError) as caught:
        await sync_to_async(apply)()
    assert "line3-api" not in str([(one.message, one.hint) for one in caught.value.problems])
    text = text.replace("line3-apj", "line3-api")
    await sync_to_async(grant)("eve", Grant(Role.ENGINEER, secrets="line3-*"), BOX, engine.clock.now())
    await sync_to_async(apply)()
