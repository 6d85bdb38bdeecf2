"""A job as it is asked for on the spawner's socket, and on guard's."""

import json
from dataclasses import asdict

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import CheckpointFile, Job
from appliance.sandbox.process import wire


def describe(job: Job, *, live: bool) -> dict[str, object]:
    """The job as the other side of the socket reads it."""
    return {
        "argv": job.argv,
        "workdir": None if job.workdir is None else str(job.workdir),
        "env": dict(job.env),
        "timeout": job.timeout,
        "reads": job.reads,
        "writes": job.writes,
        "output_limit": job.output_limit,
        "limits": asdict(job.limits),
        "live": live,
        "checkpoint": _checkpoint(job.checkpoint),
        "pins": {path: [digest, list(job.seen.get(path, ()))] for path, digest in job.pins.items()},
        "executable": job.executable,
        "cgroup": job.cgroup,
        "files": dict(job.files),
    }


def within_limit(description: dict[str, object]) -> bytes:
    """As JSON that fits into one frame. Raises JobRefused."""
    request = json.dumps(description).encode()
    if len(request) > wire.MAX_REQUEST:
        raise JobRefused(
            f"The command and its values are {len(request)} bytes long; {wire.MAX_REQUEST} are taken.",
            hint="Hand large data over in a file.",
        )
    return request


def _checkpoint(file: CheckpointFile | None) -> dict[str, int | float] | None:
    if file is None:
        return None
    return {"limit": file.limit, "every": file.every, "initial": len(file.initial or b"")}
