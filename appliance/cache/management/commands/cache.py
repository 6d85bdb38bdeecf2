import json
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.cache import decisions, exchange, looking, services
from appliance.cache.domain import Choice, Policy, Rule
from appliance.cache.models import CacheConflict, CachePeer
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Kept values: read and set them, share them with other boxes, decide conflicts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="keys, versions and origins").add_argument(
            "prefix", nargs="?", default=""
        )
        verbs.add_parser("show", help="one value").add_argument("key")
        setting = verbs.add_parser("set", help="store a value")
        setting.add_argument("key")
        setting.add_argument("value", help="JSON; what is none is text")
        setting.add_argument("--expect", type=int, help="only over this version; 0: only where there is none")
        verbs.add_parser("remove", help="remove a value").add_argument("key")
        listing = verbs.add_parser("conflicts", help="edits that met, open ones first")
        listing.add_argument("--open", action="store_true", help="without those that are decided")
        deciding = verbs.add_parser(
            "resolve", help="decide an open conflict, or restore a value of a decided one"
        )
        deciding.add_argument("conflict", type=int)
        deciding.add_argument("choice", choices=["mine", "theirs"])
        verbs.add_parser("parked", help="what a peer refuses, or what cannot be read")
        for verb, said in (
            ("retry", "offer a parked value again"),
            ("drop", "let each box keep what it has"),
        ):
            verbs.add_parser(verb, help=said).add_argument("item", type=int)
        verbs.add_parser("peers", help="the boxes that values are shared with")
        peer = verbs.add_parser("peer", help="share values with another box")
        peer.add_argument("name")
        peer.add_argument("url", nargs="?", default="")
        peer.add_argument("--token", default="", help="secret:NAME with a token of that box, scope sync")
        peer.add_argument(
            "--share",
            action="append",
            default=[],
            metavar="PREFIX=POLICY[:COUNTER,…]",
            help=f"keys that begin so, and who wins: {', '.join(Policy)}; may be repeated",
        )
        peer.add_argument("--every", type=float, default=5, metavar="SECONDS")
        peer.add_argument("--remove", action="store_true", help="end the sharing")
        verbs.add_parser("sync", help="one round now").add_argument("name", nargs="?")
        for one in verbs.choices.values():
            one.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = _VERBS[options["verb"]](options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, default=str))
        else:
            self.stdout.write(_text(found))


def _text(found: Any) -> str:
    if not isinstance(found, list):
        found = [found]
    return (
        "\n".join("  ".join(f"{name}={_short(value)}" for name, value in row.items()) for row in found)
        or "None."
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _list(options: dict[str, Any]) -> Any:
    return [looking.plain_entry(row) for row in looking.entries(options["prefix"]).iterator(500)]


def _show(options: dict[str, Any]) -> Any:
    return looking.plain_write(services.show(options["key"]))


def _set(options: dict[str, Any]) -> Any:
    try:
        value = json.loads(options["value"])
    except ValueError:
        value = options["value"]
    version = services.set_value(options["key"], value, CONSOLE, expected=options["expect"])
    return {"key": options["key"], "version": version}


def _remove(options: dict[str, Any]) -> Any:
    services.remove_value(options["key"], CONSOLE)
    return {"key": options["key"], "removed": True}


def _conflicts(options: dict[str, Any]) -> Any:
    return [looking.plain_conflict(row) for row in looking.conflicts(only_open=options["open"])[:500]]


def _resolve(options: dict[str, Any]) -> Any:
    number, choice = options["conflict"], Choice(options["choice"])
    decided = CacheConflict.objects.filter(pk=number, decided_at__isnull=False).exists()
    if decided:
        return {"conflict": number, "restored": choice, "version": decisions.restore(number, choice, CONSOLE)}
    decisions.take(number, choice, CONSOLE, datetime.now(UTC))
    return {"conflict": number, "choice": choice}


def _parked(options: dict[str, Any]) -> Any:
    return [looking.plain_parked(row) for row in looking.parked()[:500]]


def _retry(options: dict[str, Any]) -> Any:
    decisions.retry(options["item"], CONSOLE)
    return {"item": options["item"], "retried": True}


def _drop(options: dict[str, Any]) -> Any:
    decisions.drop(options["item"], CONSOLE)
    return {"item": options["item"], "dropped": True}


def _peers(options: dict[str, Any]) -> Any:
    return [looking.plain_peer(state) for state in looking.peers()]


def _peer(options: dict[str, Any]) -> Any:
    if options["remove"]:
        exchange.remove_peer(options["name"], CONSOLE)
        return {"peer": options["name"], "removed": True}
    rules = [_rule(text) for text in options["share"]]
    exchange.set_peer(
        options["name"],
        options["url"],
        options["token"],
        rules,
        CONSOLE,
        every=timedelta(seconds=options["every"]),
    )
    return {"peer": options["name"], "shares": options["share"]}


def _rule(text: str) -> Rule:
    prefix, equals, said = text.rpartition("=")
    policy, _, counters = said.partition(":")
    if not equals or policy not in set(Policy):
        raise CommandError(f"{text!r}: write PREFIX=POLICY, with one of {', '.join(Policy)}")
    return Rule(prefix, Policy(policy), tuple(one for one in counters.split(",") if one))


def _sync(options: dict[str, Any]) -> Any:
    names = (
        [options["name"]]
        if options["name"]
        else [peer.name for peer in CachePeer.objects.filter(enabled=True)]
    )
    done = []
    for name in names:
        summary = exchange.sync_now(name)
        figures = (
            {"pulled": summary.pulled, "pushed": summary.pushed, "parked": summary.parked} if summary else {}
        )
        done.append({"peer": name, "done": summary is not None, **figures})
    return done


_VERBS = {
    "list": _list,
    "show": _show,
    "set": _set,
    "remove": _remove,
    "conflicts": _conflicts,
    "resolve": _resolve,
    "parked": _parked,
    "retry": _retry,
    "drop": _drop,
    "peers": _peers,
    "peer": _peer,
    "sync": _sync,
}
