"""``manage.py router``: what a sentence means to this box, and whether the router is right."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.router import examples, loading
from appliance.agent.router.domain import Meaning, Routed
from appliance.agent.router.golden import SHIPPED, judge, read_golden
from appliance.agent.router.knowledge import build
from appliance.agent.router.router import Router, everything
from appliance.agent.router.student import FOLDER, installed
from appliance.agent.router.voices import Voices
from appliance.inference.client import KeeperClient
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Say what a sentence means to this box, step by step; run the golden set; list confirmed examples."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        ask = verbs.add_parser("ask", help="what a sentence means, and why; nothing is done")
        ask.add_argument("text")
        ask.add_argument(
            "--no-model",
            action="store_true",
            help="do not show it to a served model, whatever the setting says",
        )
        test = verbs.add_parser("test", help="run a golden set; exit status 1 where a sentence goes wrong")
        test.add_argument(
            "file", nargs="?", type=Path, default=SHIPPED, help="default: the one that is shipped"
        )
        examples_ = verbs.add_parser("examples", help="sentences that people have confirmed")
        inner = examples_.add_subparsers(dest="example_verb", required=True)
        inner.add_parser("list", help="the newest first")
        inner.add_parser("remove", help="forget one").add_argument("number", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["verb"]:
                case "ask":
                    self._ask(options["text"], model=not options["no_model"])
                case "test":
                    self._test(options["file"])
                case _ if options["example_verb"] == "list":
                    self._list()
                case _:
                    examples.remove(options["number"], CONSOLE)
                    self.stdout.write(f"Example {options['number']} is forgotten.")
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _ask(self, text: str, *, model: bool) -> None:
        """As a chat would, its slow voices with it."""
        config = get_config()
        began = datetime.now(UTC)
        student = installed(config.home.data / FOLDER)
        router = Router(build(loading.load()), (student,) if student is not None else ())
        voices = Voices(
            KeeperClient(config.home.keeper_socket),
            model=model and config.chat_model,
            patience=config.chat_model_seconds,
        )
        async_to_sync(voices.keep_warm)()
        made = (datetime.now(UTC) - began).total_seconds() * 1000
        heard = voices.hear(router, text, CONSOLE.name, everything)
        for look in heard.routed.looks:
            self.stdout.write(f"{look.step:<8} {look.said}")
        if heard.understood is not None:
            chosen = heard.understood.chosen
            self.stdout.write(
                f"model    was {chosen.model}@{chosen.version} {chosen.digest}: {chosen.reason}"
            )
        self.stdout.write(_result(heard.routed))
        steps = ", ".join(f"{step} {seconds * 1000:.1f}" for step, seconds in heard.routed.took)
        self.stdout.write(f"ms: {steps}; {made:.0f} to read what there is")

    def _test(self, file: Path) -> None:
        world, lines = read_golden(file)
        result = judge(Router(build(world)), lines)
        for title, faults in (("wrong", result.wrong), ("asked", result.asked)):
            for fault in faults:
                self.stdout.write(f"{title:<6} {fault.text}: {fault.said}")
        self.stdout.write(
            f"{result.lines} sentences, {result.taken} taken, {len(result.wrong)} wrong; "
            f"precision {result.precision:.1%}, coverage {result.coverage:.1%}"
        )
        if result.wrong:
            raise CommandError(f"{len(result.wrong)} sentences go wrong")

    def _list(self) -> None:
        rows = examples.examples(CONSOLE)
        for row in rows:
            means = _said(Meaning(row.intent, row.slots))
            self.stdout.write(f"{row.pk:>5}  {row.at:%Y-%m-%d}  {row.by:<20} {row.text} -> {means}")
        if not rows:
            self.stdout.write("Nobody has confirmed a sentence yet.")


def _result(routed: Routed) -> str:
    if routed.meaning is not None:
        what = "asks whether it is" if routed.asks else "takes it for"
        return f"-> {what} {_said(routed.meaning)} ({routed.how}, {routed.confidence:.2f})"
    offered = ", ".join(_said(one) for one in routed.alternatives)
    return f"-> asks back: {offered}" if offered else "-> does not know"


def _said(meaning: Meaning) -> str:
    return " ".join([meaning.intent, *(f"{name}={value}" for name, value in meaning.slots.items())])
