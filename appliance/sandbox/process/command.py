"""How to start a spawner."""

import sys
from pathlib import Path

import appliance.sandbox.process


def spawner_argv(
    socket: Path,
    home: Path,
    *,
    uid: int | None = None,
    gid: int | None = None,
    peer_uid: int | None = None,
    spool: Path | None = None,
    max_jobs: int | None = None,
    cgroups: Path | None = None,
    engine: Path | None = None,
    models: Path | None = None,
    python: str = sys.executable,
) -> list[str]:
    """The command line of a spawner: see ``spawner.py --help``. It prints one line once it listens.

    ``uid`` is the user that jobs run as: needed when the spawner starts as root, and only then.
    """
    script = Path(appliance.sandbox.process.__file__).with_name("spawner.py")
    argv = [python, "-I", "-S", str(script), "--socket", str(socket), "--home", str(home)]
    options = {
        "--uid": uid,
        "--gid": gid,
        "--peer-uid": peer_uid,
        "--spool": spool,
        "--max-jobs": max_jobs,
        "--cgroups": cgroups,
        "--engine": engine,
        "--models": models,
    }
    for name, value in options.items():
        if value is not None:
            argv += [name, str(value)]
    return argv
