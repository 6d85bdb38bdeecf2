"""The embedded engines: real PostgreSQL, Redis and NATS, started by our own configuration."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.atomic import write_atomically
from appliance.lib.errors import MillwrightError
from appliance.lib.home import Home
from appliance.processes.layout import settings_folder
from appliance.processes.privilege import Privilege


class EngineMissing(MillwrightError):
    code = "stack.engine_missing"


class EngineRefused(MillwrightError):
    code = "stack.engine_refused"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: how to start it, how to stop it."""

    name: str
    command: tuple[str, ...]
    stop_signal: str
    stop_seconds: int = 20
    keep: tuple[int, ...] = ()
    """Capabilities that it keeps when root starts it."""
    in_namespace: bool = False


def package_folder(package: str) -> Path:
    """Where a wheel lies, without importing it. Raises EngineMissing."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EngineMissing(f"the package {package} is not installed", hint="run make setup")
    return Path(spec.origin).parent


def write_settings(home: Home, privilege: Privilege, name: str, text: str) -> Path:
    """Write what an engine reads at its start; it cannot change it. Gives the path."""
    path = settings_folder(home) / name
    write_atomically(path, text.encode())
    privilege.show(path)
    return path


def quoted(value: object) -> str:
    """In double quotes, as Redis and NATS both read them."""
    return json.dumps(str(value), ensure_ascii=False)
