"""How updates come in: by webhook where Telegram can reach the box, by long poll where it cannot."""

import asyncio
import logging
from math import isfinite

from django.utils.translation import gettext_noop
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.bridges.ports import Inbox
from appliance.bridges.telegram.api import TelegramApi, TelegramRefused
from appliance.bridges.telegram.updates import ALLOWED, raw_events
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.outbox.errors import PlatformAway

log = logging.getLogger(__name__)

LONG_POLL = 25
ANSWER_WITHIN = 10
"""Seconds beyond that for the answer: one that hangs is noticed in time."""
WATCH_WEBHOOK_EVERY = 30.0
CONFLICT_PAUSE = 5.0
LONGEST_PAUSE = 30.0
TOKEN_PAUSE = 60.0
CONFLICT_REMEMBERED = 60.0
"""Seconds: two pollers of one bot take turns, and each hears only some of it, also while it is its own turn."""
STALE_ERROR = 600.0
"""Seconds for which the last error of a webhook says something."""
OTHER_POLLER = gettext_noop("another program receives this bot's messages")
OTHER_WEBHOOK = gettext_noop("another program sets or takes away this bot's webhook")
UNREACHED_LIMIT = 3


class Receiver:
    """One bot's updates, until cancelled. ``trouble`` says what is wrong now, for the probe."""

    def __init__(
        self,
        name: str,
        api: TelegramApi,
        inbox: Inbox,
        webhook: str | None,
        secret: str,
        clock: Clock,
        long_poll: int = LONG_POLL,
    ) -> None:
        self._name = name
        self._api = api
        self._inbox = inbox
        self._webhook = webhook
        self._secret = secret
        self._clock = clock
        self._long_poll = long_poll
        self._failures = 0
        self._conflict: tuple[float, str] | None = None
        self.trouble = ""
        self.note = ""

    async def run(self) -> None:
        """Receive for ever; every error is waited out."""
        while True:
            try:
                if self._webhook:
                    await self._stay_on_webhook(self._webhook)
                await self._poll()
            except TelegramRefused as error:
                await asyncio.sleep(self._pause_after(error))
            except PlatformAway as error:
                await self._wait_out(error.message)
            except (DatabaseError, PoolTimeout, OSError):
                # Nothing is lost: the position was not moved, so Telegram gives the same updates again.
                await self._wait_out(say("the database is away"))
            except Exception:
                log.exception("receiving on %s goes on after an error", self._name)
                await self._wait_out(say("an error; see the log"))

    async def _wait_out(self, trouble: str) -> None:
        self._failures += 1
        self.trouble = trouble
        await asyncio.sleep(delay(self._failures, cap=LONGEST_PAUSE))

    def _pause_after(self, error: TelegramRefused) -> float:
        if error.status == 409:
            self._contended(OTHER_WEBHOOK if "webhook" in error.description else OTHER_POLLER)
        elif error.is_token:
            self.trouble = say("Telegram refuses the token")
        else:
            self.trouble = error.description
        log.warning("receiving on %s: %s", self._name, self.trouble)
        if error.retry_after is not None:
            # Nobody is heard meanwhile, whatever the platform says.
            return (
                min(max(error.retry_after, 1.0), TOKEN_PAUSE) if isfinite(error.retry_after) else TOKEN_PAUSE
            )
        if error.is_token:
            return TOKEN_PAUSE
        self._failures += 1
        return delay(self._failures, base=CONFLICT_PAUSE, cap=LONGEST_PAUSE)

    def _contended(self, trouble: str) -> None:
        self._conflict, self.trouble = (self._clock.monotonic(), trouble), trouble

    def _well(self) -> None:
        """Telegram answers. What another program takes away is not heard, and is seen only when both ask at once."""
        self._failures, self.trouble = 0, ""
        if self._conflict is not None:
            at, trouble = self._conflict
            if self._clock.monotonic() - at < CONFLICT_REMEMBERED:
                self.trouble = trouble
            else:
                self._conflict = None

    # --- long poll --------------------------------------------------------------------------------

    async def _poll(self) -> None:
        await self._drop_webhook()
        while True:
            offset = await self._inbox.cursor()
            found = await self._api.call(
                "getUpdates",
                {
                    "offset": int(offset) if offset else None,
                    "timeout": self._long_poll,
                    "limit": 100,
                    "allowed_updates": ALLOWED,
                },
                timeout=self._long_poll + ANSWER_WITHIN,
            )
            self._well()
            events = raw_events(found if isinstance(found, list) else [])
            if events:
                # Asking with a higher offset confirms what came before: commit first, then ask.
                following = max(int(event.event_id) for event in events) + 1
                await self._inbox.receive(events, cursor=str(following))

    async def _drop_webhook(self) -> None:
        """getUpdates does not work while a webhook is set; what waits for it is kept."""
        info = await self._info()
        if info.get("url"):
            await self._api.call("deleteWebhook", {"drop_pending_updates": False})

    # --- webhook ----------------------------------------------------------------------------------

    async def _stay_on_webhook(self, url: str) -> None:
        """Set the webhook and watch it. Returns when polling is to be tried instead."""
        unreached = 0
        while True:
            if unreached == 0:
                try:
                    await self._api.call(
                        "setWebhook",
                        {"url": url, "secret_token": self._secret, "allowed_updates": ALLOWED},
                    )
                except TelegramRefused as error:
                    if error.status != 400:
                        raise
                    self._fall_back(f"Telegram refuses the webhook ({error.description})")
                    return
                self._well()
            await asyncio.sleep(WATCH_WEBHOOK_EVERY)
            info = await self._info()
            if info.get("url") != url:
                self._contended(OTHER_WEBHOOK)
                unreached = 0
                continue
            unreached = unreached + 1 if self._is_stuck(info) else 0
            if unreached:
                self.trouble = f"Telegram cannot reach the webhook ({info.get('last_error_message')})"
            if unreached >= UNREACHED_LIMIT:
                self._fall_back(self.trouble)
                return

    def _is_stuck(self, info: JsonObject) -> bool:
        """Messages wait at Telegram, and it says why. Its last error stays in its answer when all is well again."""
        at = info.get("last_error_date")
        recent = not isinstance(at, int) or self._clock.now().timestamp() - at < STALE_ERROR
        return bool(info.get("pending_update_count")) and bool(info.get("last_error_message")) and recent

    def _fall_back(self, reason: str) -> None:
        self.note = f"{reason}; polling instead"
        log.warning("%s: %s", self._name, self.note)
        self._webhook = None

    async def _info(self) -> JsonObject:
        info = await self._api.call("getWebhookInfo")
        return info if isinstance(info, dict) else {}
