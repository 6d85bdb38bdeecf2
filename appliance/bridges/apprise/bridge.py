"""Outbound breadth through apprise: Discord, Matrix, e-mail and some more. Nobody can answer there."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import Any

from django.utils.translation import gettext_noop

from appliance.bridges.api import PlatformApi
from appliance.bridges.apprise.asking import ask
from appliance.bridges.apprise.catalogue import Asking, Service, reached_at, service_of
from appliance.bridges.apprise.config import AppriseConfig
from appliance.bridges.apprise.guide import GUIDE
from appliance.bridges.apprise.route import Route
from appliance.bridges.apprise.text import for_discord, quiet
from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.presenting import Part, present
from appliance.bridges.round_trip import round_trip
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, NotReady, PlatformAway
from appliance.outbox.ports import Pace, Receipt

SEND_LIMIT = 60.0
"""Seconds for one call of apprise, everything that it does for that included."""
LOG_IN_AGAIN = 3600.0
"""Seconds between two log-ins of the probe at a mail server: providers count them."""
SUBJECT = 80
PACE = Pace(per_second=1.0, interval=2.0, burst=5)
CAPABILITIES = Capabilities(text_limit=1000, receives=False, pace=PACE)
UNASKED = gettext_noop("this service cannot be asked anything without a message to somebody")


class AppriseBridge:
    """One address of apprise."""

    def __init__(self, context: BridgeContext) -> None:
        config: AppriseConfig = context.config
        self.name = context.name
        self._context = context
        self._url = context.secrets[config.apprise.root].strip()
        self._proxy = context.secrets[config.proxy.root] if config.proxy else None
        self._root = config.api_root or ""
        try:
            self._service: Service = service_of(self._url)
        except ValueError as error:
            raise NotReady(str(error)) from None
        service = self._service
        self.capabilities = Capabilities(
            text_limit=service.text_limit,
            unit=service.unit,
            attachment_limit=service.attachment_limit,
            receives=False,
            pace=PACE,
        )
        self._api = PlatformApi(service.title, proxy=self._proxy, secrets=(self._url,))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="apprise")
        self._one_by_one = asyncio.Lock()
        self._logged_in: float | None = None

    async def start(self) -> None:
        """Nothing to begin: nobody can write there."""

    async def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._api.close()

    def pace(self, conversation: str | None) -> Pace:
        return PACE

    def default_conversation(self) -> str | None:
        """Its own name stands for what the address says."""
        return self.name

    async def probe(self) -> Probe:
        """A round trip that nobody sees, where the service has one."""
        found = await round_trip(self._context.clock, self._found)
        return replace(found, round_trip_ms=None) if self._service.asking is Asking.NOTHING else found

    async def _found(self) -> Probe:
        identity, words = await self._ask()
        return Probe(ProbeState.OK, words, identity)

    async def _ask(self) -> tuple[str, str]:
        """Who we are there, and what people should know. Raises DeliveryError."""
        service = self._service
        if service.asking is not Asking.MAIL:
            plugin = await self._within(self._plugin)
            root = self._root or reached_at(self._url)
            words = UNASKED if service.asking is Asking.NOTHING else ""
            return await ask(self._api, service, plugin, root), words
        plugin = await self._within(self._plugin)
        now = self._context.clock.monotonic()
        if self._logged_in is not None and now - self._logged_in < LOG_IN_AGAIN:
            plugin.password = None
        await self._within(lambda: _library().greet(plugin))
        if plugin.password:
            self._logged_in = now
        return str(plugin.from_addr[1]), ""

    # --- out ----------------------------------------------------------------------------------------

    async def send_message(self, message: ChatMessage) -> Receipt:
        """Raises DeliveryError."""
        here = message.conversation == self.name
        if not here and not self._service.elsewhere:
            raise DeliveryRefused(
                f"{self._service.title} has one recipient, the one in the address", hint="leave `to` out"
            )
        to = None if here else message.conversation
        delivery = Delivery(self.name, message)
        parts = present(message, self.capabilities)

        async def post(part: Part) -> str:
            delivery.notes.extend(await self._post(part, to))
            return delivery.key(part)

        return await delivery.carry(parts, post, self._context.clock)

    async def _post(self, part: Part, to: str | None) -> list[str]:
        text, title = self._worded(part)
        route = self._route()

        def send() -> bool:
            return bool(_library().send(self._plugin(to), text, title, part.attachment))

        try:
            await self._within(send, route)
        except NotReady:
            self._logged_in = None
            raise
        return route.notes

    def _worded(self, part: Part) -> tuple[str, str]:
        """Text and title as this service shows them unchanged."""
        if self._service.asking is Asking.MAIL:
            first = part.attachment.name if part.attachment else part.text.lstrip().partition("\n")[0]
            return part.text, part.title or (first if len(first) <= SUBJECT else f"{first[: SUBJECT - 1]}…")
        return (for_discord if self._service.asking is Asking.WEBHOOK else quiet)(part.whole), ""

    # --- apprise, in its thread ---------------------------------------------------------------------

    def _plugin(self, to: str | None = None) -> Any:
        return _library().plugin_of(self._service, self._url, to)

    def _route(self) -> Route:
        loop = asyncio.get_running_loop()
        return Route(self._service.title, self._api, loop, self._proxy, self._root)

    async def _within(self, work: Callable[[], Any], route: Route | None = None) -> Any:
        """Do it in the thread, one at a time, within the time limit. Raises DeliveryError."""
        route = route or self._route()
        async with self._one_by_one:
            doing = asyncio.get_running_loop().run_in_executor(self._thread, route.run, work)
            try:
                async with asyncio.timeout(SEND_LIMIT):
                    return await doing
            except TimeoutError:
                raise PlatformAway(
                    f"{self._service.title} takes longer than {SEND_LIMIT:.0f} seconds",
                    maybe_sent=route.started,
                ) from None
            finally:
                if not doing.done() or doing.cancelled():
                    route.give_up()

    # --- in -----------------------------------------------------------------------------------------

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        return []


def _library() -> Any:
    """Its import takes a moment and some memory: not in the loop, and not before there is something for it."""
    return import_module("appliance.bridges.apprise.library")


def _address(config: AppriseConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    if config.proxy:
        return secrets[config.proxy.root]
    with contextlib.suppress(ValueError):
        return config.api_root or reached_at(secrets[config.apprise.root])
    return ""


def _build(context: BridgeContext) -> Bridge:
    return AppriseBridge(context)


BRIDGE = BridgeFactory(
    kind="apprise",
    title="Apprise",
    config=AppriseConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    address=_address,
)
