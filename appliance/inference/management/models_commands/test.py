"""``manage.py models test``."""

import asyncio
import json
import sys
from argparse import ArgumentParser

from appliance.accounts.principal import CONSOLE
from appliance.inference.leases import Waiting
from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.overview import keeper
from appliance.inference.trying import Piece, ask

PROMPT = "Say in one sentence what a millwright does."


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", help="without it the first that can chat")
    parser.add_argument("--prompt", default=PROMPT)


def _perform(options: Options, tell: Say) -> None:
    found = asyncio.run(_ask(options))
    said = "".join(piece.text for piece in found)
    chosen, last = found[0].chosen, found[-1]
    assert chosen is not None
    if options["json"]:
        shown = {"model": chosen.model, "version": chosen.version, "engine": chosen.engine.value}
        tell(json.dumps({**shown, "text": said, "pieces": last.tokens, "seconds": round(last.seconds, 3)}))
    else:
        tell(said)
        speed = last.tokens / last.seconds if last.seconds else 0.0
        tell(
            f"{chosen.model}@{chosen.version} ({chosen.engine.value}): {last.tokens} tokens, {speed:.1f} a second"
        )


async def _ask(options: Options) -> list[Piece]:
    def wait(news: Waiting) -> None:
        about = f", about {news.expected:.0f} s" if news.expected else ""
        print(f"{news.why}{about} …", file=sys.stderr, flush=True)

    return [
        one async for one in ask(keeper(), options["prompt"], CONSOLE, model=options["name"], on_wait=wait)
    ]


VERB = Verb("test", "ask a model something, and see it answer", _perform, _add_arguments)
