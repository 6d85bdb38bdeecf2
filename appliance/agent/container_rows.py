"""The containers of this box, as far as guard's closed interface tells of them: its jobs and its models' engines."""

import asyncio
from typing import Any

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import QueryRefused
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonObject
from appliance.lib.masking import KNOWN
from appliance.sandbox.docker.client import GuardClient
from appliance.sandbox.docker.presence import engine_missing
from appliance.sandbox.errors import JobRefused, SandboxUnavailable

_JOB = ("container", "run", "step", "template", "image")
_MODEL = ("name", "model", "engine", "state", "started_at", "exit_status", "out_of_memory", "error")


def containers(by: Principal) -> list[JsonObject]:
    """Steps that run in a container now, and the engines of models. Raises NotAllowed, QueryRefused."""
    by.require(Ability.EXAMINE)
    jobs = _list(_ask("list").get("jobs"))
    models = _list(_ask("model_list").get("models"))
    return [
        *({"what": "step", **{key: one[key] for key in _JOB if key in one}} for one in jobs),
        *({"what": "model", **{key: one[key] for key in _MODEL if key in one}} for one in models),
    ]


def log_of(name: str, lines: int, by: Principal) -> str:
    """The last lines of a model's engine. What a step writes is its output. Raises NotAllowed, QueryRefused."""
    by.require(Ability.EXAMINE)
    return KNOWN.text(str(_ask("model_log", name=name[:200], lines=lines).get("log", "")))


def _ask(verb: str, **values: object) -> dict[str, Any]:
    """Called in a thread: guard is spoken to on a loop of its own."""
    config = get_config()
    try:
        return asyncio.run(GuardClient(config.home.guard_socket).ask(verb, **values))
    except SandboxUnavailable as error:
        missing = engine_missing(config.container_engine)
        said = f"this box has no containers: {missing}" if missing else f"guard is away: {error}"
        raise QueryRefused(said) from error
    except JobRefused as error:
        raise QueryRefused(str(error)) from error


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
