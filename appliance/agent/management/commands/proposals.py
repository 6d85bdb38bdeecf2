"""``manage.py proposals``: tasks that agents propose."""

import difflib
from argparse import _SubParsersAction
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from appliance.accounts.principal import CONSOLE
from appliance.agent.models import AgentProposal, ProposalState
from appliance.agent.proposals import services
from appliance.lib.plain import visible
from appliance.lib.verbs import Told, VerbCommand

STATES = {
    ProposalState.OPEN: "waits",
    ProposalState.TAKEN: "taken over",
    ProposalState.REJECTED: "rejected",
    ProposalState.REPLACED: "replaced by a newer one",
    ProposalState.EXPIRED: "expired",
}
MOST = 100


class Command(VerbCommand):
    help = "List the tasks that agents propose, show one as a difference, take it over, or reject it."
    requires_system_checks: list[str] = []

    def verbs(self, verbs: "_SubParsersAction[Any]") -> None:
        listed = verbs.add_parser("list", help="what waits for a person; with --all also what was decided")
        listed.add_argument("--all", action="store_true", dest="everything")
        show = verbs.add_parser("show", help="one of them, line by line against the task in force")
        take = verbs.add_parser("take", help="apply it")
        reject = verbs.add_parser("reject", help="nothing becomes of it")
        reject.add_argument("--reason", default="", help="why not, for the record")
        for one in (show, take, reject):
            one.add_argument("proposal", metavar="ID", help="its identifier, or the end of it")

    def perform(self, options: Mapping[str, Any]) -> Told:
        now = datetime.now(UTC)
        match options["verb"]:
            case "list":
                return _list(everything=options["everything"])
            case "show":
                return _show(options["proposal"])
            case "take":
                done = services.take(options["proposal"], CONSOLE, now)
                data = {"task": done.name, "version": done.version, "change": done.change.value}
                return Told(f"{done.name}: taken over as version {done.version}.", data)
            case _:
                row = services.reject(options["proposal"], CONSOLE, now, options["reason"])
                return Told(f"{row.task}: rejected, nothing becomes of it.", _said(row))


def _list(*, everything: bool) -> Told:
    rows = list(services.listing(only_open=not everything)[:MOST])
    none = (
        "Nothing has been proposed."
        if everything
        else "Nothing waits. proposals list --all has what was decided."
    )
    return Told("\n".join(map(_line, rows)) or none, [_said(row) for row in rows])


def _line(row: AgentProposal) -> str:
    what = f"changes version {row.base}" if row.base else "new"
    state = STATES[ProposalState(row.state)]
    return f"{str(row.pk)[-12:]}  {state:<10}  {row.task} ({what})  {visible(row.why)}".rstrip()


def _show(ref: str) -> Told:
    row = services.find(ref)
    found = services.compared(row)
    waits = row.state == ProposalState.OPEN
    lines = [*_head(row)]
    if waits and found.moved:
        lines.append(
            f"The task has changed since: this was made from version {row.base}, and version {found.number} is in"
            " force. It cannot be taken over any more."
        )
    # Beside what it became or did not become, a difference would be of something else.
    before = found.before if waits else ""
    names = (f"{row.task} version {found.number}" if before else "nothing", f"{row.task} proposed")
    lines += difflib.unified_diff(before.splitlines(), row.text.splitlines(), *names, lineterm="")
    data = {**_said(row), "text": row.text, "moved": found.moved}
    return Told("\n".join(lines), data)


def _head(row: AgentProposal) -> Iterator[str]:
    yield f"{row.pk}: {STATES[ProposalState(row.state)]}"
    if row.why:
        yield f"why, in its words: {visible(row.why)}"
    yield f"by the task {row.by_task} on behalf of {row.principal}; the most it may do: {row.ceiling}"
    if row.decided_why:
        yield f"the reason: {visible(row.decided_why)}"


def _said(row: AgentProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "task": row.task,
        "base": row.base,
        "state": row.state,
        "why": row.why,
        "principal": row.ceiling,
        "run": str(row.run_id),
        "step": row.step,
        "by_task": row.by_task,
        "created_at": row.created_at.isoformat(),
        "decided_by": row.decided_by,
        "version": row.version,
    }
