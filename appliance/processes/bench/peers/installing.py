"""Into the cache, once: a virtual environment or a folder of npm's for each set of pinned packages."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.processes.bench.peers.contract import PeerMissing

INSTALL_SECONDS = 600.0


def python_with(cache: Path, name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with just these packages. Raises PeerMissing."""
    folder = cache / _title(name, packages)
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _perform([sys.executable, "-m", "venv", str(folder)], cache)
        _perform(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], cache
        )
        (folder / ".ready").touch()
    return python


def node_program(cache: Path, package: str, least: int) -> list[str]:
    """The command of an npm package that has one program of its own name. Raises PeerMissing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerMissing("there is no node with npm here")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    if major(said) < least:
        raise PeerMissing(f"node {said.strip()} is older than {least}")
    name = package.partition("@")[0]
    folder = cache / _title(name, [package])
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _perform([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), package], cache)
        (folder / ".ready").touch()
    return [node, str(folder / "node_modules" / name / "red.js")]


def major(version: str) -> int:
    """Of what ``node --version`` says (``v20.20.2``); 0 where it says nothing that can be read."""
    digits = version.strip().lstrip("v").partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _title(name: str, packages: Sequence[str]) -> str:
    """Another list of packages gets another folder."""
    return f"{name}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"


def _perform(command: Sequence[str], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            list(command), cwd=cache, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"it took longer than {INSTALL_SECONDS:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise PeerMissing(f"{''.join(said)[-200:]}")
