"""What a run leaves behind, as files: what it was, what was asked, allowed, done and confirmed. Secrets are masked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model

from appliance.audit.bundle.sealed import pretty
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.services import of_run
from appliance.runs.models import Checkpoint, Run, Split, Step
from appliance.runs.shards.body import grows
from appliance.runs.shards.split import shard_id
from appliance.safety.approvals.models import Approval
from appliance.safety.models import PolicyVersion
from appliance.tasks.models import Occurrence, TaskVersion

_RULE = re.compile(r"^(?P<layer>[a-z]+)/(?P<rule>.+)@(?P<number>[0-9]+)$")
_HIDDEN = frozenset({"content", "token_digest", "secret_digest", "told", "lease_owner", "lease_until"})
"""Columns that prove nothing, or that open something."""
_CONFINED = frozenset({"shell", "container"})


def files_of(run: Run) -> dict[str, bytes]:
    """Name and content of each file about a run; what there is nothing of is left out."""
    steps = list(Step.objects.filter(run_id=run.pk).order_by("position", "attempt"))
    approvals = list(Approval.objects.filter(run_id=run.pk).prefetch_related("decisions").order_by("id"))
    splits = list(Split.objects.filter(run_id=run.pk).order_by("created_at"))
    grown = _Grown.of(splits)
    version = TaskVersion.objects.filter(pk=run.version_id).select_related("task").first()
    found: dict[str, Any] = {
        "run.json": _row(run),
        "steps.json": [_row(step) for step in steps],
        "occurrence.json": _first(
            Occurrence.objects.filter(pk=run.occurrence_id) if run.occurrence_id else ()
        ),
        "decisions.json": _decisions(steps),
        "approvals.json": [_approval(one) for one in approvals],
        "outbox.json": [_row(one) for one in of_run(run.pk)],
        "sandbox.json": _confined(steps),
        "shards.json": [_row(one) for one in splits],
        "checkpoints.json": [_row(one) for one in Checkpoint.objects.filter(run_id=run.pk).defer("content")],
        "runs.json": _related(run),
        "grown.json": grown.files(),
    }
    files = {name: pretty(value) for name, value in found.items() if value}
    if version is not None:
        files["task.yaml"] = version.text.encode()
        about = {"name": version.task.name, "version": version.number, "digest": version.digest}
        files["task.json"] = pretty({**about, "applied_by": version.created_by, "at": version.created_at})
    for policy in _policies([*steps, *grown.steps], [*approvals, *grown.approvals]):
        files[f"policy/{policy.layer}-v{policy.number}.yaml"] = policy.text.encode()
    return files


def _row(row: Model) -> JsonObject:
    names = [field.attname for field in row._meta.concrete_fields if field.attname not in _HIDDEN]
    return {name: getattr(row, name) for name in names}


def _first(rows: Iterable[Model]) -> JsonObject | None:
    return next((_row(row) for row in rows), None)


def _decisions(steps: Iterable[Step]) -> list[JsonObject]:
    """Which rule of which version let each step through, or did not."""
    found: list[JsonObject] = []
    for step in steps:
        gate = str((step.detail or {}).get("gate", "")) if isinstance(step.detail, dict) else ""
        if not gate and step.error == "":
            continue
        rule = _RULE.match(gate)
        found.append(
            {
                "step": step.step,
                "attempt": step.attempt,
                "gate": gate,
                "layer": rule["layer"] if rule else None,
                "rule": rule["rule"] if rule else None,
                "version": int(rule["number"]) if rule else None,
                "error": step.error,
            }
        )
    return found


def _policies(steps: Iterable[Step], approvals: Iterable[Approval]) -> list[PolicyVersion]:
    """The texts of the versions that decided."""
    rules = [str(one.detail.get("gate", "")) for one in steps if isinstance(one.detail, dict)]
    rules += [one.rule for one in approvals]
    named = {(rule["layer"], int(rule["number"])) for rule in map(_RULE.match, rules) if rule}
    rows = PolicyVersion.objects.filter(
        layer__in={layer for layer, _ in named}, number__in={number for _, number in named}
    )
    return [row for row in rows.order_by("layer", "number") if (row.layer, row.number) in named]


def _approval(row: Approval) -> JsonObject:
    return {**_row(row), "decisions": [_row(one) for one in row.decisions.all()]}


def _confined(steps: Iterable[Step]) -> list[JsonObject]:
    """What is known of the sandbox of each step that had one."""
    return [
        {
            "step": one.step,
            "attempt": one.attempt,
            "kind": one.kind,
            "detail": one.detail,
            "stderr": one.stderr,
        }
        for one in steps
        if one.kind in _CONFINED and one.detail
    ]


def grown_runs(splits: Sequence[Split]) -> list[Run]:
    """The runs of those steps that grow: each has one."""
    return [row for row in Run.objects.filter(pk__in=[shard_id(one.pk, 0) for one in splits]) if grows(row)]


@dataclass(frozen=True, slots=True)
class _Grown:
    """Steps that nobody wrote beforehand, as an agent's: turns with what was sent to a model, what came back and the
    digests of both; calls, and what people said to them."""

    runs: list[Run]
    steps: list[Step]
    approvals: list[Approval]
    splits: list[Split]

    @classmethod
    def of(cls, splits: list[Split]) -> "_Grown":
        runs = grown_runs(splits)
        ids = [row.pk for row in runs]
        return cls(
            runs,
            list(Step.objects.filter(run_id__in=ids).order_by("run_id", "position", "attempt")),
            list(Approval.objects.filter(run_id__in=ids).prefetch_related("decisions").order_by("id")),
            splits,
        )

    def files(self) -> list[JsonObject]:
        names = {one.pk: (one.step, one.attempt) for one in self.splits}
        found: list[JsonObject] = []
        for run in self.runs:
            steps = [one for one in self.steps if one.run_id == run.pk]
            step, attempt = names[run.split_id] if run.split_id else ("", 0)
            found.append(
                {
                    "step": step,
                    "attempt": attempt,
                    "run": _row(run),
                    "steps": [_row(one) for one in steps],
                    "decisions": [*_decisions(steps)],
                    "approvals": [_approval(one) for one in self.approvals if one.run_id == run.pk],
                }
            )
        return found


def _related(run: Run) -> JsonObject:
    """Runs that belong to this one; each has a bundle of its own."""
    called = (
        Run.objects.filter(parent_run_id=run.pk).order_by("id").values_list("pk", "state", "shard")[:10_000]
    )
    found: JsonObject = {
        "called": [{"run": str(pk), "state": state, "shard": shard} for pk, state, shard in called],
        "caller": _text(run.parent_run_id),
        "goes_on_from": _text(run.forked_from),
    }
    return found if any(found.values()) else {}


def _text(run_id: UUID | None) -> str | None:
    return str(run_id) if run_id else None


def masked(files: Mapping[str, bytes], mask: Any) -> dict[str, bytes]:
    """Every file with ``mask`` (a text to a text) over it."""
    return {name: mask(content.decode()).encode() for name, content in files.items()}
