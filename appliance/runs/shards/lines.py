"""The lines of a file as a source, read piece by piece in the sandbox: the worker itself never opens it.

Each reading is a command as that of a step of type ``shell``, and passes the gate as such.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from appliance.actions.contract import Services, TargetAway
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.shards.sources import BATCH, Batch, NoShards, check_count
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job

PIECE = 256 * 1024
"""Bytes of one reading; no line is longer."""
_LOOK = 'stat -L -c "%F|%s|%i" -- "$1" && wc -l <"$1"'
_READ = 'stat -L -c "%s|%i" -- "$1" && tail -c "+$2" -- "$1" | head -c "$3"'


Permit = Callable[[JsonObject], Awaitable[None]]
"""Passes the gate for one reading, with the arguments of a step of type ``shell``. Raises ActionRefused, TargetAway."""


async def line_source(path: JsonValue, services: Services, permit: Permit) -> JsonObject:
    """Raises NoShards, what ``permit`` raises, and TargetAway where there is no sandbox now."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise NoShards("lines: needs an absolute path", hint="as in lines: /var/log/hosts")
    about, _, counted = (
        (await _confined(services, permit, path, _LOOK)).decode("utf-8", "replace").partition("\n")
    )
    kind, size, inode = about.rsplit("|", 2)
    if kind not in ("regular file", "regular empty file"):
        raise NoShards(f"lines: {path} is a {kind}, not a file")
    count = max(int(counted), 1 if int(size) else 0)
    check_count(count)
    return {
        "kind": "lines",
        "path": path,
        "size": int(size),
        "inode": inode,
        "offset": 0,
        "count": count,
        "bytes": int(size),
    }


async def line_batches(source: JsonObject, services: Services, permit: Permit) -> AsyncIterator[Batch]:
    """The lines from the source's offset up to the size that the file had when the split began."""
    path, size, offset = str(source["path"]), int(str(source["size"])), int(str(source["offset"]))
    while offset < size:
        wanted = min(PIECE, size - offset)
        data = await _confined(services, permit, path, _READ, str(offset + 1), str(wanted))
        about, _, piece = data.partition(b"\n")
        now, inode = about.decode("ascii", "replace").split("|")
        if inode != source["inode"] or int(now) < size or len(piece) != wanted:
            raise NoShards(f"lines: {path} was changed while it was read")
        end = len(piece) if offset + len(piece) == size else piece.rfind(b"\n") + 1
        if end == 0:
            raise NoShards(f"lines: {path} has a line of more than {PIECE // 1024} KiB")
        lines = piece[:end].removesuffix(b"\n").split(b"\n")
        for start in range(0, len(lines), BATCH):
            part = lines[start : start + BATCH]
            offset = min(offset + sum(map(len, part)) + len(part), size)
            texts: list[JsonValue] = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in part]
            yield Batch(texts, {**source, "offset": offset})


async def _confined(services: Services, permit: Permit, path: str, script: str, *more: str) -> bytes:
    await permit({"command": {"script": script, "arguments": [path, *more]}, "reads": [path]})
    argv = ("/bin/sh", "-c", script, "mw", path, *more)
    try:
        outcome = await services.run_confined(
            Job(argv=argv, reads=(path,), timeout=60.0, output_limit=4 * PIECE), None
        )
    except (SandboxUnavailable, JobLost) as error:
        raise TargetAway(str(error)) from error
    except JobRefused as error:
        raise NoShards(f"lines: {error}") from error
    if outcome.exit_status != 0:
        said = outcome.stderr.text.strip().splitlines()
        raise NoShards(f"lines: {path} cannot be read: {said[-1] if said else 'the reading was ended'}")
    return outcome.stdout.head + outcome.stdout.tail
