"""The bundle of evidence of a run: collected, proved, sealed, and itself on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.bundle.proofs import Proven, prove
from appliance.audit.bundle.sealed import seal
from appliance.audit.chain import Record
from appliance.audit.errors import AuditBroken
from appliance.audit.heads import SignedHead, Signer
from appliance.audit.retention import anchors
from appliance.audit.search import seqs_of_run
from appliance.audit.services import append_here, hashes_between, records_at, sign_head, signed_heads
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonObject
from appliance.lib.masking import redact
from appliance.runs.evidence.collecting import files_of, grown_runs, masked
from appliance.runs.evidence.readme import README
from appliance.runs.models import Run, Split
from appliance.runs.services import get, task_name
from appliance.safety.secrets import list_secrets, resolve

EXPORTED = "audit.exported"


@dataclass(frozen=True, slots=True)
class Bundle:
    name: str
    content: bytes
    records: int
    key: bytes


def export_run(run_id: UUID, by: Principal, now: datetime, home: Path | None = None) -> Bundle:
    """The sealed archive of everything that is known of a run; that it was taken is put on record before.

    Call it outside a transaction: the end of the record is signed for it. Raises RunNotFound, NotAllowed, AuditBroken,
    KeyUnusable.
    """
    by.require(Ability.VIEW_AUDIT)
    run = get(run_id)
    name = task_name(run)
    with transaction.atomic():
        append_here(EXPORTED, by.name, str(run_id), {"task": name, "state": run.state})
    sign_head(now, home)
    values = [resolve(f"secret:{one.name}") for one in list_secrets()]
    records = records_at(_seqs(run))
    open_ones = [one for one in records if redact(one.body, values) == one.body]
    heads = _heads(open_ones)
    proven = [one for head, own in heads for one in proved(head, own)]
    config = get_config()
    signer = Signer.of_home(home or config.home.path, config.home.id)
    about: JsonObject = {
        "box": config.home.id,
        "run": str(run_id),
        "task": name,
        "state": run.state,
        "by": by.name,
        "records": len(proven),
        "notes": [*_notes(run, len(records) - len(open_ones))],
    }
    files = masked({"README.txt": README.encode(), **files_of(run)}, lambda text: redact(text, values))
    content = seal(files, about, proven, [head for head, _ in heads], signer, now)
    return Bundle(f"evidence-{run_id}.zip", content, len(proven), signer.public_key)


def _seqs(run: Run) -> list[int]:
    """The records about the run, and about what its agents did in runs of their own."""
    grown = grown_runs(list(Split.objects.filter(run_id=run.pk)))
    return sorted({seq for one in (run, *grown) for seq in seqs_of_run(one.pk, one.finished_at)})


def _heads(records: Sequence[Record]) -> list[tuple[SignedHead, list[Record]]]:
    """The signed heads with a tree that covers these records, each with those that are under it."""
    rooted = [head for head in signed_heads() if head.root]
    found: list[tuple[SignedHead, list[Record]]] = []
    at = 0
    for head in rooted:
        own = []
        while at < len(records) and records[at].seq <= head.seq:
            own.append(records[at])
            at += 1
        if own:
            found.append((head, own))
    if at < len(records):
        raise AuditBroken(
            f"record {records[at].seq} is under no signed head", hint="manage.py audit verify says why"
        )
    return found


def proved(head: SignedHead, records: Sequence[Record]) -> list[Proven]:
    """The records with their paths in the head's tree. Raises AuditBroken where records under it are gone."""
    leaves = list(hashes_between(head.first, head.seq))
    if len(leaves) != head.seq - head.first + 1:
        raise AuditBroken(
            f"of the records {head.first} to {head.seq} under signed head {head.number} the database has {len(leaves)}",
            hint="manage.py audit verify says why; archived segments have what was cut off",
        )
    return list(prove(records, head, leaves))


def _notes(run: Run, held_back: int) -> list[str]:
    notes = []
    if run.finished_at is None:
        notes.append("The run had not ended when this was made.")
    if held_back:
        notes.append(f"{held_back} record(s) hold the value of a secret and are left out.")
    cut = anchors()
    if cut and cut[-1].at >= run.created_at:
        notes.append(f"Records up to {cut[-1].seq} are no longer in the database; see the archived segments.")
    return notes
