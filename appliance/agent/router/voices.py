"""The router's slow voices, a served encoder and a model: asked in a thread, for seconds at most."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from django.db import connections

from appliance.agent.router.domain import Meaning, Routed
from appliance.agent.router.encoded import EncodedProposer
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import Asked
from appliance.agent.router.lexicon import Name
from appliance.agent.router.loading import Offered, offered
from appliance.agent.router.model import ModelInterpreter, Understood
from appliance.agent.router.readiness import Readiness, ReadyEncoder
from appliance.agent.router.router import Router
from appliance.inference.client import KeeperClient
from appliance.inference.domain import Need
from appliance.inference.embeddings.scripts import reads_of
from appliance.inference.embeddings.served import ServedEncoder
from appliance.inference.embeddings.vectors import DatabaseVectors, KeptEncoder
from appliance.inference.errors import ModelBusy
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.lib.priority import Priority

log = logging.getLogger(__name__)

REMEMBERED_FOR = 600.0
"""Seconds in which a model is not asked again what it was asked for the same person."""
MOST_REMEMBERED = 1000
MOST_AT_ONCE = 2
"""Questions under way: a chat that waits takes one of few places of its process."""
ENCODER_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """``understood``: what a model said of it; ``asked``: it was asked just now, not a moment ago."""

    routed: Routed
    understood: Understood | None = None
    asked: bool = False


@dataclass(slots=True)
class _Kept:
    at: float
    understood: Understood | None = None
    """None while it is asked, and where nothing came of it."""


class Voices:
    """``keep_warm`` in the loop, again and again; ``hear`` in a thread of its own, never in the loop's."""

    def __init__(
        self,
        client: KeeperClient,
        *,
        model: bool = True,
        patience: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._patience = patience
        self._clock = clock
        self._asks_models = model
        self._encoders = Readiness(client, Need.EMBEDDINGS, clock)
        self._models = Readiness(client, Need.JSON, clock)
        self._encoder: EncodedProposer | None = None
        self._there = Offered()
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._under_way = 0
        self._lock = Lock()

    @property
    def any_there(self) -> bool:
        """Whether there is anybody to be heard: on a box without models nothing takes a second way."""
        return self._encoder is not None or (self._asks_models and self._there.has_models)

    async def keep_warm(self) -> None:
        """Follow what is served. An encoder that is another one now is left at once, the new one made ready."""
        self._there = there = await in_django(offered)
        self._models.prefer(there.models)
        wanted = there.encoder
        if self._encoder is not None and (wanted is None or wanted[1] != self._encoder.digest):
            self._encoder = None
        if wanted is not None and self._encoder is None:
            self._encoders.prefer(wanted[:1])
            await asyncio.to_thread(self._warm, *wanted)

    def hear(self, router: Router, text: str, who: str, sees: Callable[[Name], bool]) -> Heard:
        """What the sentence means with every voice heard; ``who`` is the principal's name. Takes seconds."""
        interpreting = _Interpreting(self, who)
        encoder = self._encoder
        joined = router.joined_by(
            (encoder,) if encoder is not None else (), interpreting if self._asks_models else None
        )
        return Heard(joined.route(text, sees), interpreting.understood, interpreting.asked)

    def _warm(self, name: str, digest: str) -> None:
        """A model that is not ready yet is no error: the next look tries again."""
        try:
            with self._encoders.asking():
                asked = ServedEncoder(self._client, name, digest)
                reads = reads_of(asked)
                short = ServedEncoder(self._client, name, digest, asked.size, patience=ENCODER_PATIENCE)
                made = EncodedProposer(ReadyEncoder(short, self._encoders), reads, own_intents())
                made.warm(KeptEncoder(asked, DatabaseVectors()))
        except MillwrightError as error:
            log.debug("the router goes without its encoder: %s", error)
            return
        finally:
            connections.close_all()
        self._encoder = made
        log.info("the router has the encoder %s (%s)", name, digest[:12])

    def begin(self, key: tuple[str, str]) -> _Kept | None:
        """What is kept of this question; None where it is to be asked now. Raises ModelBusy."""
        now = self._clock()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now - kept.at < REMEMBERED_FOR:
                return kept
            if self._under_way >= MOST_AT_ONCE:
                raise ModelBusy(f"{self._under_way} other questions are under way")
            self._under_way += 1
            self._kept.pop(key, None)
            while len(self._kept) >= MOST_REMEMBERED:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = _Kept(now)
            return None

    def end(self, key: tuple[str, str], understood: Understood | None, *, asked: bool) -> None:
        """Who could not be asked at all may be asked the next time."""
        with self._lock:
            self._under_way -= 1
            kept = self._kept.get(key)
            if kept is not None and asked:
                kept.understood = understood
            elif kept is not None:
                del self._kept[key]

    def ask(self, asked: Asked, began: Callable[[], None]) -> Understood:
        """``began`` is called when there is somebody to ask. Raises MillwrightError."""
        with self._models.asking() as model:
            began()
            understood = ModelInterpreter(
                self._client,
                model=model.model,
                pinned=model.digest,
                patience=self._patience,
                priority=Priority.HIGH,  # somebody waits in a chat
            ).ask(asked)
        return replace(
            understood, chosen=understood.chosen.model_copy(update={"reason": self._models.reason})
        )


class _Interpreting:
    """An Interpreter for one sentence of one person, which asks the model once in its time."""

    def __init__(self, voices: Voices, who: str) -> None:
        self._voices = voices
        self._who = who
        self.understood: Understood | None = None
        self.asked = False

    def interpret(self, asked: Asked) -> Meaning | None:
        key = (self._who, asked.text)
        kept = self._voices.begin(key)
        if kept is not None:
            self.understood = kept.understood
            if kept.understood is None:
                raise ModelBusy("it was asked about this very sentence a moment ago")
            return kept.understood.meaning
        try:
            self.understood = self._voices.ask(asked, self._begun)
        except MillwrightError as error:
            log.info("the router goes without its model: %s", error)
            raise
        finally:
            self._voices.end(key, self.understood, asked=self.asked)
        chosen = self.understood.chosen
        log.info(
            "the model %s@%s (%s) was asked what a sentence means: %s; %.2f s",
            chosen.model,
            chosen.version,
            chosen.digest[:12],
            chosen.reason,
            self.understood.seconds,
        )
        return self.understood.meaning

    def _begun(self) -> None:
        self.asked = True
