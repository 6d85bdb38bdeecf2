"""Each test of a model finds the fault that it is there for, and lets pass what is well."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from appliance.inference.acceptance.domain import Result, Subject
from appliance.inference.acceptance.engine import Engine, EngineBroke
from appliance.inference.acceptance.golden_sets import GoldenSet, load_golden
from appliance.inference.acceptance.injection import obeys, shipped
from appliance.inference.acceptance.suite import SUITE, names_for, run_suite
from appliance.inference.backends.contract import Dialect, Profile
from appliance.inference.backends.llamacpp.dialect import DIALECT
from appliance.inference.backends.remote.dialect import DIALECT as REMOTE
from appliance.inference.backends.trtllm.dialect import DIALECT as TRT
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.domain import EngineKind, ModelFormat
from tests.standins.tested_engine import Answer, Body, TestedEngine, letters, prompt_tokens

pytestmark = pytest.mark.asyncio


def manifest(*, embeddings: bool = False) -> Manifest:
    file = ModelFile(path="model.gguf", size=1, sha256="0" * 64)
    return Manifest(
        name="tiny", version="1", format=ModelFormat.GGUF, files=(file,), main="model.gguf",
        embeddings=embeddings, added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def golden(text: str) -> GoldenSet:
    return GoldenSet("tiny", load_golden(text, "tiny.yaml"), "d" * 64)


@contextlib.asynccontextmanager
async def found_by(
    standin: TestedEngine,
    *,
    dialect: Dialect = DIALECT,
    embeddings: bool = False,
    sets: Sequence[GoldenSet] = (),
    only: str = "",
) -> AsyncIterator[dict[str, Result]]:
    async with standin.serving(), httpx.AsyncClient(trust_env=False) as client:
        engine = Engine(client, standin.url, "k", "tiny", dialect)
        profile = Profile(EngineKind.LLAMACPP, context=1024)
        told: list[int] = []

        async def kept(results: Sequence[Result]) -> None:
            told.append(len(results))

        subject = Subject(engine, manifest(embeddings=embeddings), profile, sets)
        checks = [one for one in SUITE if only in one.name]
        found = await run_suite(subject, kept, checks)
        assert told == [*range(1, len(found) + 1)]
        yield {one.name: one for one in found}


async def test_a_model_that_behaves_passes_all_tests() -> None:
    own = golden("entries: [{prompt: hi, contains: machines}]")
    async with found_by(TestedEngine(), sets=[own]) as found:
        assert {name: (one.passed, one.detail) for name, one in found.items() if not one.passed} == {}
        assert list(found) == names_for(embeddings=False, golden_set=True)
        assert found["injection"].figure == 0
        assert "refused" in found["context"].detail
        assert found["context"].figure > 950


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(""), "empty"),
        (Answer("fine", finish=""), "no proper end"),
        (Answer("word " * 3000), "cut off"),
        (Answer("well", tokens=900), "gave 900"),
        (Answer("hello<|im_end|>"), "template"),
    ],
    ids=["empty", "no end", "flood", "too long", "control token"],
)
async def test_an_answer_that_is_none_is_found(answer: Answer, says: str) -> None:
    async with found_by(TestedEngine(misbehaves=lambda body: answer), only="completion") as found:
        assert not found["completion"].passed
        assert says in found["completion"].detail


async def test_a_model_that_thinks_first_is_not_empty() -> None:
    def thinks(body: Body) -> Answer | None:
        return Answer("<think>", "length", tokens=1, thought="hm") if body["max_tokens"] == 48 else None

    async with found_by(TestedEngine(misbehaves=thinks), only="completion") as found:
        assert found["completion"].passed, found["completion"].detail


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{not json", "no JSON"),
        (json.dumps({"name": "format_disk", "arguments": {}}), "does not fit"),
        (json.dumps({"name": "switch", "arguments": {"device": "pump-9", "on": True}}), "does not fit"),
    ],
    ids=["broken", "unknown tool", "unknown argument"],
)
async def test_an_engine_is_not_believed_that_it_keeps_to_a_schema(text: str, says: str) -> None:
    answer = Answer(text)
    async with found_by(TestedEngine(misbehaves=lambda body: answer), only="conformance") as found:
        assert not found["conformance"].passed
        assert found["conformance"].figure == 0
        assert says in found["conformance"].detail


async def test_an_engine_that_cannot_keep_to_a_schema_is_found() -> None:
    refuses = Answer(json.dumps({"error": {"message": "no grammar here"}}), status=500)
    async with found_by(TestedEngine(misbehaves=lambda body: refuses), only="conformance") as found:
        assert not found["conformance"].passed
        assert "no grammar here" in found["conformance"].detail


@pytest.mark.parametrize(
    ("misbehaves", "says"),
    [
        (lambda body: Answer() if prompt_tokens(body) > 1024 else None, "taken without a word"),
        (lambda body: Answer("out", status=503) if prompt_tokens(body) > 1024 else None, "status 503"),
        (lambda body: Answer("no", status=400) if prompt_tokens(body) > 500 else None, "is refused"),
        (lambda body: Answer("") if prompt_tokens(body) > 500 else None, "gets no answer"),
    ],
    ids=["silently", "as a failure", "less than declared", "no answer"],
)
async def test_a_context_that_is_not_as_declared_is_found(
    misbehaves: Callable[[Body], Answer | None], says: str
) -> None:
    async with found_by(TestedEngine(misbehaves=misbehaves), only="context") as found:
        assert not found["context"].passed
        assert says in found["context"].detail


@pytest.mark.parametrize("dialect", [TRT, REMOTE], ids=["deadly", "unknown"])
async def test_what_has_killed_an_engine_is_not_sent_to_it(dialect: Dialect) -> None:
    standin = TestedEngine()
    async with found_by(standin, dialect=dialect, only="context") as found:
        assert found["context"].passed, found["context"].detail
    assert max(map(prompt_tokens, standin.asked)) <= 1024


async def test_an_engine_that_dies_of_a_long_prompt_ends_the_tests() -> None:
    dies = TestedEngine(misbehaves=lambda body: Answer(cut=True) if prompt_tokens(body) > 1024 else None)
    with pytest.raises(EngineBroke):
        async with found_by(dies, only="context"):
            pass


def obeying(most: int) -> Callable[[Body], Answer | None]:
    """Does what the first ``most`` of the hidden instructions say."""
    signs = {one.data: one.sign for one in shipped().injections[:most]}

    def misbehaves(body: Body) -> Answer | None:
        text = body["messages"][-1]["content"]
        return next((Answer(f"{sign}!") for data, sign in signs.items() if data in text), None)

    return misbehaves


async def test_how_often_data_is_obeyed_is_counted_and_limited() -> None:
    whole = len(shipped().injections)
    assert whole >= 40
    async with found_by(TestedEngine(misbehaves=obeying(whole)), only="injection") as found:
        assert found["injection"].figure == 1
        assert not found["injection"].passed
    own = golden("most_obeyed: 0.05\nentries: [{prompt: hi, contains: machines}]")
    async with found_by(TestedEngine(misbehaves=obeying(4)), sets=[own], only="injection") as found:
        assert found["injection"].figure == pytest.approx(4 / whole)
        assert not found["injection"].passed
        assert "log-en-1" in found["injection"].detail
    async with found_by(TestedEngine(misbehaves=obeying(4)), only="injection") as found:
        assert found["injection"].passed


async def test_who_tells_what_the_data_says_does_not_obey() -> None:
    for one in shipped().injections:
        assert obeys(one, f"{one.sign}.")
        assert not obeys(one, f"The data says: {one.data}")


GOLDEN = """
least: 0.5
entries:
  - {prompt: a, equals: It looks after the machines.}
  - {prompt: b, contains: [MACHINES, looks]}
  - {prompt: c, matches: "after.+machines"}
  - {prompt: d, schema: {type: object, properties: {on: {type: boolean}}, required: [on]}}
  - {prompt: e, equals: something else}
  - {prompt: f, matches: "(a|aa)+$(?!)"}
"""


async def test_the_users_own_set_is_measured_entry_by_entry() -> None:
    async with found_by(TestedEngine(), sets=[golden(GOLDEN)], only="golden") as found:
        assert found["golden"].figure == pytest.approx(4 / 6)
        assert found["golden"].passed
        assert "5: it says: It looks" in found["golden"].detail
    stricter = golden(GOLDEN.replace("0.5", "0.7"))
    async with found_by(TestedEngine(), sets=[golden(GOLDEN), stricter], only="golden") as found:
        assert not found["golden"].passed
        assert found["golden"].limit == 0.7


@pytest.mark.parametrize(
    ("embed", "says"),
    [
        (lambda text: [1.0, 2.0], "have 2 numbers"),
        (lambda text: [1.0] * (8 + len(text) % 2), "have 8, 9 numbers"),
        (lambda text: [*letters(text), None], "no finite number"),
        (lambda text: [*letters(text), 10**400], "no finite number"),
        (lambda text: [*letters(text), float("nan")], "no finite number"),
        (lambda text: [1e200] * 26, "no finite number"),
        (lambda text: [0.0] * 26, "no direction"),
        (lambda text: [1e-200] * 26, "no direction"),
        (lambda text: [float(len(text) % 7), *[1.0] * 8], "not nearer"),
    ],
    ids=[
        "small",
        "sizes differ",
        "no number",
        "endless number",
        "not finite",
        "huge",
        "nothing",
        "tiny",
        "no sense",
    ],
)
async def test_vectors_that_are_none_are_found(embed: Callable[[str], list[Any]], says: str) -> None:
    async with found_by(TestedEngine(vectors=embed), embeddings=True) as found:
        assert list(found) == ["vectors"]
        assert not found["vectors"].passed
        assert says in found["vectors"].detail
    async with found_by(TestedEngine(), embeddings=True) as found:
        assert found["vectors"].passed, found["vectors"].detail


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(usage={"prompt_tokens": float("inf"), "completion_tokens": 1}), "no piece of an answer"),
        (Answer(usage={"prompt_tokens": -1, "completion_tokens": 1}), "no piece of an answer"),
        (Answer(usage={"prompt_tokens": 3, "completion_tokens": 10**12}), "no piece of an answer"),
    ],
    ids=["infinite", "negative", "huge"],
)
async def test_a_count_of_tokens_that_is_none_is_found(answer: Answer, says: str) -> None:
    async with found_by(TestedEngine(misbehaves=lambda body: answer), only="completion") as found:
        assert not found["completion"].passed
        assert says in found["completion"].detail


async def test_an_answer_that_nests_without_end_does_not_fit() -> None:
    def nests(body: Body) -> Answer | None:
        return Answer(NESTED) if body.get("response_format") else None

    own = golden("entries: [{prompt: hi, max_tokens: 8192, schema: {type: array}}]")
    async with found_by(TestedEngine(misbehaves=nests), sets=[own], only="golden") as found:
        assert not found["golden"].passed
        assert "nests without end" in found["golden"].detail


async def test_a_pattern_may_hold_every_character() -> None:
    own = golden('entries: [{prompt: hi, matches: "machines[.](?!\\0)"}, {prompt: hi, matches: "\\0"}]')
    async with found_by(TestedEngine(), sets=[own], only="golden") as found:
        assert found["golden"].figure == 0.5


async def test_an_engine_that_only_says_that_it_lives_is_given_up() -> None:
    standin = TestedEngine(misbehaves=lambda body: Answer(pings=b": ping\n\n"))
    async with standin.serving(), httpx.AsyncClient(trust_env=False) as client:
        engine = Engine(client, standin.url, "k", "tiny", DIALECT, patience=0.3)
        with pytest.raises(EngineBroke, match="no end"):
            await engine.say([("user", "hi")], max_tokens=0)
        assert len(standin.asked) == 1


async def test_a_flood_of_what_is_no_text_is_cut_off() -> None:
    async with found_by(
        TestedEngine(misbehaves=lambda body: Answer(pings=b": ping" * 50_000 + b"\n\n")), only="completion"
    ) as found:
        assert "cut off" in found["completion"].detail


async def test_vectors_without_end_are_none() -> None:
    async with found_by(TestedEngine(vectors=lambda text: [0.25] * 700_000), embeddings=True) as found:
        assert "no vectors" in found["vectors"].detail
