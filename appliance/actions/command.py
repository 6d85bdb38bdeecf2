"""What the kinds that run a command share. Values travel as positional parameters, never inside the text."""

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import Field, field_validator, model_validator

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
    TargetAway,
)
from appliance.actions.secret_places import Reference, opened
from appliance.actions.shell_text import classify_shell, default_ok_exit
from appliance.expressions import Template
from appliance.expressions.fields import ShellField, TextField
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.masking import KNOWN
from appliance.lib.said import say
from appliance.safety.references import named_by
from appliance.safety.understood import Understood
from appliance.sandbox.ebpf import reach
from appliance.sandbox.ebpf.watched import Watched
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import FILE_NAME, Captured, CheckpointFile, Declared, Job, Outcome, label_of

OUTPUT_LIMIT = 256 * 1024
MOST_FILES = 20
FileName = Annotated[str, Field(pattern=FILE_NAME)]


class CommandParams(Params):
    command: ShellField | None = None
    """Text for ``/bin/sh``. Each ``{{ }}`` becomes a positional parameter."""
    args: tuple[TextField, ...] | None = None
    """The program and its arguments, without any shell. Exactly one of ``command`` and ``args``."""
    env: dict[str, TextField] = {}
    """Environment variables to add. ``secret:NAME`` is a stored secret."""
    files: Annotated[dict[FileName, Reference], Field(max_length=MOST_FILES)] = {}
    """Stored secrets as files in the command's working folder: the file's name, and ``secret:NAME``."""
    reads: tuple[str, ...] = ()
    """Absolute paths that the command may read besides the system's own and /var/log."""
    writes: tuple[str, ...] = ()
    """Absolute paths that it may write besides its working folder."""

    network: Annotated[tuple[str, ...], Field(max_length=reach.MOST)] | None = None
    """What it may connect to: ``host``, ``host:port``, an address, ``10.0.0.0/8:443``, ``any``; or ``none``. All else
    is denied by the kernel. Where it is left out, the box's settings decide."""
    programs: Annotated[tuple[str, ...], Field(max_length=256)] | None = None
    """The programs that it executes beside its own, by name or by absolute path. Any other turns the run amber."""

    @field_validator("network", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        if value == "none":
            return ()
        return (value,) if isinstance(value, str) else value

    @field_validator("network")
    @classmethod
    def _places(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in value or ():
            if text != reach.ANY:
                reach.parse(text)
        return value

    @model_validator(mode="after")
    def _one_form(self) -> "CommandParams":
        if (self.command is None) == (self.args is None):
            raise ValueError(say("give either command: or args:, not both and not neither"))
        return self

    @field_validator("env")
    @classmethod
    def _no_secret_path(cls, value: dict[str, Template]) -> dict[str, Template]:
        """The programs that the gate looks at are found by it. Of other variables the name alone counts there."""
        path = value.get("PATH")
        if path is not None and path.is_literal and named_by(str(path.source)):
            raise ValueError(say("PATH takes no secret: the gate looks where the programs are"))
        return value


P = TypeVar("P", bound=CommandParams)


class CommandAction(ActionKind[P]):
    """Runs the command in a sandbox, which its kind chooses."""

    default_timeout = 60.0
    secret_fields = frozenset({"env", "files"})

    def effect(self, params: P) -> EffectClass:
        """``pure`` where the command surely reads only, and the same each time; else ``unsafe``."""
        if params.command is None or params.writes:
            return EffectClass.UNSAFE
        return EffectClass(classify_shell(params.command.script, params.env))

    def default_ok_exit(self, params: P) -> tuple[int, ...]:
        return (0,) if params.command is None else default_ok_exit(params.command.script)

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        notes: list[str] = []
        whole = await opened(arguments, context.connect)
        job = Job(
            argv=_argv(arguments),
            env={str(k): str(v) for k, v in _mapping(whole.get("env")).items()},
            files={str(k): str(v) for k, v in _mapping(whole.get("files")).items()},
            timeout=context.timeout,
            reads=tuple(str(path) for path in _sequence(arguments.get("reads"))),
            writes=tuple(str(path) for path in _sequence(arguments.get("writes"))),
            output_limit=OUTPUT_LIMIT,
            checkpoint=_checkpoint(context, notes),
            label=label_of(str(context.run_id), context.step_id),
            declared=Declared(_declared(arguments, "network"), _declared(arguments, "programs")),
            leaving=context.leaving,
            **_pinned(context.command),
        )
        try:
            outcome = await self.run(job, arguments, context)
        except SandboxUnavailable as error:
            raise TargetAway(str(error)) from error
        except JobRefused as error:
            return StepResult.failed(str(error), retryable=False)
        except JobLost as error:
            return StepResult(Status.UNKNOWN, error=str(error))
        result = _noted(_result(outcome, context.ok_exit, context.timeout), notes)
        result = _watched(result, outcome.watched)
        if context.command is None:
            return result
        return replace(result, detail={**result.detail, "command": context.command.in_short()})

    @abstractmethod
    async def run(self, job: Job, arguments: JsonObject, context: StepContext) -> Outcome:
        """Have the job run where this kind runs it. Raises SandboxUnavailable, JobRefused, JobLost."""


def effect_elsewhere(here: EffectClass) -> EffectClass:
    """Of a command in a container from which nothing but its output leaves, where it has that effect on this machine.

    Never ``pure``: what its programs do is known to who made the image.
    """
    return EffectClass.IDEMPOTENT if here is EffectClass.PURE else here


def _pinned(command: Understood | None) -> dict[str, Any]:
    """The programs that the gate has looked at: the sandbox runs these and no others."""
    if command is None or command.plan is None:
        return {}
    plan = command.plan
    return {"pins": plan.pins, "seen": plan.seen, "executable": plan.executable}


def _checkpoint(context: StepContext, notes: list[str]) -> CheckpointFile | None:
    kept = context.checkpoints
    if kept is None:
        return None
    return CheckpointFile(kept.last_file, kept.save_file, notes.append, kept.limit)


def _noted(result: StepResult, notes: list[str]) -> StepResult:
    """What the person should see of checkpoints that were not kept, beside what the command said itself."""
    if not notes:
        return result
    said = "".join(f"[millwright] {note}\n" for note in notes)
    return replace(result, stderr=result.stderr + said, detail={**result.detail, "checkpoints": [*notes]})


def _declared(arguments: JsonObject, key: str) -> tuple[str, ...] | None:
    value = arguments.get(key)
    return None if value is None else tuple(map(str, _sequence(value)))


def _watched(result: StepResult, watched: Watched | None) -> StepResult:
    """With the kernel's record of what the command did."""
    if watched is None:
        return result
    told: JsonValue = (
        {"reason": watched.reason} if watched.observed is None else watched.observed.model_dump(mode="json")
    )
    return replace(result, detail={**result.detail, "observed": told}, undeclared=watched.findings)


def _argv(arguments: JsonObject) -> tuple[str, ...]:
    command = arguments.get("command")
    if isinstance(command, dict):
        values = [str(value) for value in _sequence(command["arguments"])]
        return ("/bin/sh", "-c", str(command["script"]), "mw", *values)
    return tuple(str(value) for value in _sequence(arguments["args"]))


def _sequence(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _mapping(value: JsonValue) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _result(outcome: Outcome, ok_exit: tuple[int, ...], timeout: float) -> StepResult:
    text = _text(outcome.stdout)
    output = text[:-1] if text.endswith("\n") else text
    detail: JsonObject = {
        "exit_status": outcome.exit_status,
        "signal": outcome.signal,
        "stdout_bytes": outcome.stdout.total,
        "stderr_bytes": outcome.stderr.total,
        "seconds": round(outcome.duration.total_seconds(), 4),
    }
    status, error = Status.SUCCEEDED, ""
    if outcome.timed_out:
        status, error = Status.UNKNOWN, f"not finished after {timeout:g} s: ended with everything it started"
    elif outcome.stopped:
        status, error = Status.UNKNOWN, "ended before it was done, because its worker stopped"
    elif outcome.cancelled:
        status, error = Status.UNKNOWN, "ended from outside before it was done"
    elif outcome.signal is not None:
        status, error = Status.UNKNOWN, f"ended by signal {outcome.signal}"
    elif outcome.exit_status not in ok_exit:
        wanted = ", ".join(str(code) for code in ok_exit)
        status, error = Status.FAILED, f"exit status {outcome.exit_status}, expected {wanted}"
    return StepResult(
        status, output, detail, stderr=_text(outcome.stderr), error=error, interrupted=outcome.stopped
    )


def _text(captured: Captured) -> str:
    """What was kept, without the halves of a secret on both sides of what was not: only a whole one is masked."""
    if not captured.dropped:
        return captured.text
    head = captured.head[: len(captured.head) - KNOWN.unfinished(captured.head)]
    tail = captured.tail[KNOWN.left_over(captured.tail) :]
    return replace(captured, head=head, tail=tail).text
