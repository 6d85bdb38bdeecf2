"""A real spawner for tests."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.command import spawner_argv

JOB_UID = 61017
"""The user that jobs run as when the tests run as root: nobody's, on any machine."""


@dataclass(slots=True)
class RunningSpawner:
    """A spawner on a socket of its own, with a home that holds a secret."""

    process: subprocess.Popen[bytes]
    socket: Path
    home: Path
    spool: Path
    sandbox: ProcessSandbox = field(init=False)

    def __post_init__(self) -> None:
        self.sandbox = ProcessSandbox(self.socket)

    @property
    def work_folders(self) -> list[Path]:
        """The private folders of jobs that exist now."""
        return list(self.spool.iterdir()) if self.spool.exists() else []

    def stop(self) -> None:
        """End it and all its jobs."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=15)
        self._close()

    def kill(self) -> None:
        """End it as the kernel or a person in a hurry does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=15)
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def forget(self) -> None:
        """Remove what a killed spawner leaves."""
        shutil.rmtree(self.spool, ignore_errors=True)


def start_spawner(
    tmp: Path,
    *,
    max_jobs: int | None = None,
    wrapper: tuple[str, ...] = (),
    cgroups: Path | None = None,
    engine: Path | None = None,
    models: Path | None = None,
    shared_user: bool = False,
) -> RunningSpawner:
    """Start a spawner with its socket and home under ``tmp``; gives it when it listens.

    ``wrapper`` is a command that starts the one behind it. With ``shared_user`` its jobs run as the user that owns
    the home, as on a box that an ordinary user started.
    """
    home, runtime = tmp / "home", tmp / "run"
    for folder in (home / "secrets", runtime):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "secrets" / "password").write_text("secret of the box\n")
    spool = Path(f"/var/tmp/millwright-test-{os.getpid()}-{tmp.name}"[:90])
    uid = JOB_UID if os.geteuid() == 0 and not shared_user else None
    if os.geteuid() == 0 and shared_user:
        for path in (home, *home.rglob("*"), runtime):
            os.chown(path, JOB_UID, JOB_UID)
        wrapper = ("setpriv", f"--reuid={JOB_UID}", f"--regid={JOB_UID}", "--clear-groups", *wrapper)
    argv = spawner_argv(
        runtime / "spawner.sock",
        home,
        uid=uid,
        spool=spool,
        max_jobs=max_jobs,
        cgroups=cgroups,
        engine=engine,
        models=models,
    )
    process = subprocess.Popen([*wrapper, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"typed at the spawner\n")  # which no job may get
    process.stdin.flush()
    line = process.stdout.readline()
    if not line.startswith(b"listening"):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        raise AssertionError("the spawner did not start; its standard error says why")
    return RunningSpawner(process, runtime / "spawner.sock", home, spool)


def without_call(number: int, error: str) -> tuple[str, ...]:
    """A wrapper for ``start_spawner``: a kernel on which the call of that number gives that error."""
    script = Path(__file__).parent / "integration" / "sandbox" / "without_call.py"
    return (sys.executable, str(script), str(number), error)


def processes_with(marker: str, below: int | None = None) -> list[int]:
    """Every process on this machine whose command line holds ``marker``: what a job left behind.

    ``below``: only what that process, a spawner, has begun. Whoever kills by a marker that other runs of the tests have
    too would kill theirs.
    """
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line and (below is None or _is_below(int(folder.name), below)):
                found.append(int(folder.name))
    return found


def _is_below(pid: int, above: int) -> bool:
    """Whether a process comes from another one, by the parents that it has now."""
    while pid > 1:
        if pid == above:
            return True
        try:
            # Behind the name in brackets, which may hold anything: state, parent.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
