"""``manage.py knowledge``: the box's runbooks, and what a search finds in them."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.knowledge import services


class Command(BaseCommand):
    help = "List the runbooks of this box, search them, or check that all of them are searched."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb, what in (
            ("list", "every file that is searched"),
            ("search", "the nearest passages to a few words"),
            ("check", "what is in the folder and is not searched; exit status 1 where there is something"),
        ):
            one = verbs.add_parser(verb, help=what)
            if verb == "search":
                one.add_argument("words", nargs="+")
                one.add_argument("--most", type=int, default=6, help="how many of them, at least one")
            one.add_argument("--folder", type=Path, help="another folder than that of the home")
            one.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        root = (options["folder"] or services.folder()).resolve()
        if options["folder"] and not root.is_dir():
            raise CommandError(f"there is no folder {root}", returncode=2)
        if options["verb"] == "search":
            if options["most"] < 1:
                raise CommandError("--most is a number from 1 on", returncode=2)
            if not " ".join(options["words"]).strip():
                raise CommandError("say what to search for: knowledge search pump hot", returncode=2)
        found = getattr(self, f"_{options['verb']}")(root, options)
        if options["as_json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
        elif not found:
            nothing = options["verb"] == "search" and not services.files(CONSOLE, root=root)
            self.stdout.write(_NOTHING["list" if nothing else options["verb"]] % {"root": root})
        if options["verb"] == "check" and found:
            raise CommandError(f"{len(found)} file(s) are not searched", returncode=1)

    def _list(self, root: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
        found = services.files(CONSOLE, root=root)
        for one in () if options["as_json"] else found:
            self.stdout.write(
                f"{one.file}  {one.sections} sections, {one.size:,} bytes  {one.title}".rstrip()
            )
        return [{"file": one.file, "bytes": one.size, "sections": one.sections} for one in found]

    def _search(self, root: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
        found = services.search(" ".join(options["words"]), CONSOLE, most=options["most"], root=root)
        for one in () if options["as_json"] else found:
            self.stdout.write(f"{one.score:.2f}  {one.file}:{one.line}  {one.heading}")
            self.stdout.write("".join(f"      {line}\n" for line in one.text.splitlines()[:6]))
        return [
            {
                "file": one.file,
                "line": one.line,
                "heading": one.heading,
                "score": one.score,
                "text": one.text,
            }
            for one in found
        ]

    def _check(self, root: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
        found = services.troubles(CONSOLE, root=root)
        for one in () if options["as_json"] else found:
            self.stdout.write(f"{one.file}: {one.why}")
        return [{"file": one.file, "why": str(one.why)} for one in found]


_NOTHING = {
    "list": "There are no runbooks in %(root)s: put Markdown files there.",
    "search": "Nothing found.",
    "check": "Every file is searched.",
}
