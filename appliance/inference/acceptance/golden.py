"""The user's own set: what the model is for is the only test that counts in the end."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence

from appliance.inference.acceptance.conformance import why_not
from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit, is_text, share
from appliance.inference.acceptance.engine import Engine, EngineRefused, Said
from appliance.inference.acceptance.golden_sets import Entry, GoldenSet
from appliance.lib.said import say

NAME = "golden"
_WITHIN = 5.0
_LONGEST = 100_000
# A regular expression can take for ever, and nothing in a process can end it: so it has one of its own.
# By its standard input: an argument holds neither every character nor every length.
_FINDS = "import json, re, sys; sys.exit(not re.search(*json.load(sys.stdin), re.DOTALL))"


async def run(subject: Subject) -> Result:
    found = [await _tried(one, subject.engine) for one in subject.golden]
    worst = min(found, key=lambda one: one.figure - one.limit)
    detail = "; ".join(one.detail for one in found)
    failed = any(not one.passed for one in found)
    return Result(NAME, worst.figure, worst.limit, Bound.AT_LEAST, Unit.SHARE, detail, failed=failed)


async def _tried(golden: GoldenSet, engine: Engine) -> Result:
    entries, wrong = golden.file.entries, list[str]()
    for number, entry in enumerate(entries, 1):
        try:
            said = await engine.say(_messages(entry), max_tokens=entry.max_tokens, schema=entry.answer_schema)
        except EngineRefused as error:
            wrong.append(f"{number}: {error.message[:120]}")
            continue
        if why := await why_wrong(entry, said):
            wrong.append(f"{number}: {why}")
    detail = _detail(golden, len(entries), wrong)
    good = len(entries) - len(wrong)
    return Result(NAME, share(good, len(entries)), golden.file.least, Bound.AT_LEAST, Unit.SHARE, detail)


def _messages(entry: Entry) -> list[tuple[str, str]]:
    system = [("system", entry.system)] if entry.system else []
    return [*system, ("user", entry.prompt)]


def _detail(golden: GoldenSet, whole: int, wrong: Sequence[str]) -> str:
    said = say(
        "%(name)s.yaml: %(good)d of %(whole)d answers are as they have to be",
        name=golden.name,
        good=whole - len(wrong),
        whole=whole,
    )
    return f"{said} ({'; '.join(wrong[:3])}{' …' if len(wrong) > 3 else ''})" if wrong else said


async def why_wrong(entry: Entry, said: Said) -> str:
    """Why an answer is not what it has to be; empty where it is."""
    text = said.text.strip()
    if entry.answer_schema is not None:
        return why_not(said, entry.answer_schema)
    if entry.equals is not None:
        good = text == entry.equals.strip()
    elif entry.contains is not None:
        good = all(one.casefold() in text.casefold() for one in entry.contains)
    else:
        good = await _finds(entry.matches or "", text)
    return "" if good else say("it says: %(text)s", text=" ".join(text.split())[:80])


async def _finds(pattern: str, text: str) -> bool:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        _FINDS,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.defpath},
    )
    try:
        async with asyncio.timeout(_WITHIN):
            await child.communicate(json.dumps([pattern, text[:_LONGEST]]).encode())
    except TimeoutError:
        return False
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode == 0


CHECK = Check(NAME, lambda subject: is_text(subject) and bool(subject.golden), run)
