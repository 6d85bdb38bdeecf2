import getpass
import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.domain import Ability, Role
from appliance.accounts.granting import grant, withdraw
from appliance.accounts.grants import GRANTABLE, Grant
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user, get_user, set_active, set_password, set_role
from appliance.accounts.sessions import browsers_of, end_session, end_sessions
from appliance.accounts.tokens import issue_api_token
from appliance.accounts.two_step import people, reset_two_step
from appliance.lib.errors import MillwrightError
from appliance.lib.secret_input import read_secret


class Command(BaseCommand):
    help = "List people, add one, mend a lost password or second step, change a role, grant more, log out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="everybody, with role and last log-in")
        listing.add_argument("--json", action="store_true")
        add = verbs.add_parser("add", help="a new person")
        add.add_argument("name")
        add.add_argument("--role", choices=[role.value for role in Role], default=Role.VIEWER.value)
        _password_argument(add)
        password = verbs.add_parser("password", help="a new password for a person")
        password.add_argument("name")
        _password_argument(password)
        role = verbs.add_parser("role", help="change a role")
        role.add_argument("name")
        role.add_argument("role", choices=[role.value for role in Role])
        token = verbs.add_parser("token", help="a key to the API for a program, shown once")
        token.add_argument("name", help="the person whose rights it has at most")
        token.add_argument("label", help="what the key is for")
        token.add_argument(
            "--days", type=int, metavar="N", help="it ends after so many days; else when revoked"
        )
        token.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[a.value for a in Ability],
            help="what it may do; may be repeated",
        )
        reset = verbs.add_parser(
            "reset-two-step", help="take a lost second step away: the password is enough"
        )
        reset.add_argument("name")
        for verb, what in (
            ("grant", "more on some tasks, topics, devices or secrets"),
            ("withdraw", "take such a grant back"),
        ):
            one = verbs.add_parser(verb, help=what)
            one.add_argument("name")
            one.add_argument("role", choices=[role.value for role in GRANTABLE])
            one.add_argument("--tasks", default="", metavar="PATTERN", help="task names, as in line3-*")
            one.add_argument("--topics", default="", metavar="FILTER", help="topics, as in plant/line3/#")
            one.add_argument("--devices", default="", metavar="PATTERN", help="names of devices (engineer)")
            one.add_argument("--secrets", default="", metavar="PATTERN", help="names of secrets (engineer)")
        sessions = verbs.add_parser("sessions", help="in which browsers somebody is logged in")
        sessions.add_argument("name")
        sessions.add_argument("--json", action="store_true")
        log_out = verbs.add_parser("log-out", help="end somebody's sessions")
        log_out.add_argument("name")
        log_out.add_argument("--session", type=int, metavar="ID", help="only this one")
        for verb in ("disable", "enable"):
            verbs.add_parser(verb, help=f"{verb} a person's log-in").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    name = options.get("name", "")
    match options["verb"]:
        case "list":
            return _listing(as_json=options["json"])
        case "add":
            create_user(name, _password(options["password_file"]), Role(options["role"]), CONSOLE)
            return f"{name} was added as {options['role']}."
        case "password":
            set_password(name, _password(options["password_file"]), CONSOLE)
            return f"{name} has a new password."
        case "role":
            set_role(name, Role(options["role"]), CONSOLE)
            return f"{name} is {options['role']} now."
        case "token":
            return _token(name, options)
        case "grant" | "withdraw":
            return _grant(name, options)
        case "sessions":
            return _sessions(name, as_json=options["json"])
        case "log-out":
            return _log_out(name, options["session"])
        case "reset-two-step":
            had_one = reset_two_step(name, CONSOLE)
            return (
                f"{name} logs in with the password alone now." if had_one else f"{name} had no second step."
            )
        case verb:
            set_active(name, verb == "enable", CONSOLE)
            return f"{name} is {verb}d now."


def _token(name: str, options: dict[str, Any]) -> str:
    scopes, now, days = [Ability(scope) for scope in options["scope"]], datetime.now(UTC), options["days"]
    if days is not None and not 0 < days <= 3650:
        raise CommandError("--days is a number from 1 to 3650")
    ends = now + timedelta(days=days) if days else None
    return issue_api_token(get_user(name), options["label"], scopes, CONSOLE, now, expires_at=ends)


def _grant(name: str, options: dict[str, Any]) -> str:
    where = {key: options[key] for key in ("tasks", "topics", "devices", "secrets")}
    meant = Grant(Role(options["role"]), **where)
    if options["verb"] == "grant":
        new = grant(name, meant, CONSOLE, datetime.now(UTC))
        return f"{name} is {meant} now." if new else f"{name} was {meant} already."
    if not withdraw(name, meant, CONSOLE):
        raise CommandError(f"{name} has no such grant; `users list --json` shows them")
    return f"{name} is no longer {meant}."


def _sessions(name: str, *, as_json: bool) -> str:
    found = browsers_of(get_user(name), datetime.now(UTC))
    if as_json:
        rows = [
            {
                "id": one.id,
                "ip": one.ip,
                "agent": one.agent,
                "since": one.since.isoformat(),
                "last_seen": one.last_seen.isoformat(),
            }
            for one in found
        ]
        return json.dumps(rows)
    lines = [f"{one.id:>6}  {one.ip:<39} {one.last_seen:%Y-%m-%d %H:%M}  {one.agent[:60]}" for one in found]
    return "\n".join(lines) or f"{name} is logged in nowhere."


def _log_out(name: str, session: int | None) -> str:
    user = get_user(name)
    if session is None:
        return f"{end_sessions(user, CONSOLE)} session(s) of {name} have ended."
    if not end_session(user, session, CONSOLE):
        raise CommandError(f"{name} has no session {session}")
    return f"Session {session} of {name} has ended."


def _password_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--password-file", metavar="FILE", help="read the password from FILE, or from standard input with -"
    )


def _password(file: str | None) -> str:
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if file:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for a password: use --password-file")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Once more: "):
        raise CommandError("the two passwords differ")
    return first


def _listing(*, as_json: bool) -> str:
    rows = [
        {
            "name": user.username,
            "role": user.role,
            "active": user.is_active,
            "two_step": user.two_step,
            "grants": [one.to_json() for one in user.granted],
            "last_login": user.last_login.isoformat() if user.last_login else None,
        }
        for user in people()
    ]
    if as_json:
        return json.dumps(rows)
    lines = [
        f"{row['name']:<24} {row['role']:<10} {'active' if row['active'] else 'disabled':<9} "
        f"{'two-step' if row['two_step'] else '-':<9} "
        f"{row['last_login'] or 'never logged in'}{'  +grants' if row['grants'] else ''}"
        for row in rows
    ]
    return "\n".join(lines) or "There is nobody yet; manage.py setup_link prints the link for the first one."
