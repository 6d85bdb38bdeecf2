"""``/v1`` put together: tokens of the accounts, the keeper at its socket, use and limits in the database."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from appliance.accounts.principal import Principal
from appliance.accounts.tokens import authenticate
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.client import KeeperClient
from appliance.inference.gateway.access import Access
from appliance.inference.gateway.application import Gateway
from appliance.inference.gateway.engine import Engines
from appliance.inference.gateway.ledger import DatabaseLedger
from appliance.inference.gateway.meter import Meter
from appliance.inference.gateway.opening import Openings
from appliance.inference.gateway.serving import Serving
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.lib.in_django import Apart
from appliance.safety import allstop
from webadmin.proxies import Scope

PREFIX = "/v1"
RESTING = 16
"""Connections to the keeper that stand ready for the next requests."""


class ByPath:
    """Programs by the beginning of their path, and everybody else: Django's way of a request costs more than theirs
    may, and ends with its answer."""

    def __init__(self, programs: Mapping[str, Any], others: Any) -> None:
        self._programs = programs
        self._others = others

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        path = str(scope["path"])
        for prefix, application in self._programs.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return await application(scope, receive, send)
        return await self._others(scope, receive, send)


def gateway(config: Config) -> Gateway:
    in_thread = Apart(ThreadPoolExecutor(2, thread_name_prefix="models"))

    async def cut_off() -> bool:
        return (await in_thread(allstop.current)).cuts

    clock = SystemClock()
    access = Access(lambda text: in_thread(_principal_of, text), clock)
    meter = Meter(DatabaseLedger(in_thread), clock)
    keeper = KeeperClient(config.home.keeper_socket, resting=RESTING)
    openings = Openings(keeper, Engines(config.remote_models_ca), dialect_of, cut_off)
    return Gateway(access, meter, keeper, Serving(openings, access, meter, cut_off))


def _principal_of(text: str) -> Principal | None:
    token = authenticate(text, datetime.now(UTC))
    return None if token is None else token.principal
