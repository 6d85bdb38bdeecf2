"""What a box that starts with a model and platforms is given: they are there before its services begin."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from appliance.accounts.principal import CONSOLE
from appliance.agent import assistant
from appliance.bridges.services import PlatformView, load_platforms, platforms
from appliance.bridges.taking import Loaded
from appliance.inference.catalogue.importing import Wanted, import_model
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.catalogue.progress import OnProgress, nobody
from appliance.inference.domain import Work
from appliance.inference.models import Candidate, ServedModel
from appliance.inference.overview import chains
from appliance.inference.services import Serving, serve, set_chain
from appliance.lib.jsontypes import JsonObject
from appliance.processes.start_order import StartPlan

_ASKED_WITHIN = 10.0
_LOOK_EVERY = 0.2


@dataclass
class Furnishing:
    """Carries out a plan, and knows what came of it."""

    plan: StartPlan
    serving: Serving
    clock: Callable[[], datetime]
    on_progress: OnProgress = nobody
    model: Manifest | None = None
    loaded: list[Loaded] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def bring(self) -> None:
        """The model's files and the platforms, with the tables there and no service at work.

        Raises MillwrightError.
        """
        given = self.plan.given
        self.model = given.manifest
        if given.path is not None:
            wanted = Wanted(source=str(given.path), name=given.manifest.name)
            imported = import_model(wanted, CONSOLE, self.clock(), on_progress=self.on_progress)
            self.model = imported.stored.manifest
        if self.plan.text:
            self.loaded = load_platforms(self.plan.text, CONSOLE, self.clock())

    def serve(self) -> None:
        """Have the model served, and chat with it where nobody has said otherwise. Raises MillwrightError."""
        assert self.model is not None
        model = self.model
        row = ServedModel.objects.filter(name=model.name, enabled=True).first()
        if row is not None and row.digest == model.digest:
            self.notes.append(f"{row} is served already, and as it was: manage.py models serve changes that")
        else:
            how = Serving(
                model.version,
                self.serving.engine,
                self.serving.context,
                self.serving.slots,
                self.serving.device,
            )
            if isinstance(serve(model.name, how, CONSOLE, self.clock()), Candidate):
                self.notes.append(
                    f"it is tested on this box first, and answers once it has passed: "
                    f"manage.py models accepted {model.name} says how far it is"
                )
        if not model.embeddings:
            self._put_first()
            self._let_it_talk()

    def _let_it_talk(self) -> None:
        """Where nobody has said otherwise: a task that people have switched off, or changed, stays as it is."""
        found = assistant.status(CONSOLE)
        if not found.present:
            assistant.switch_on(CONSOLE, self.clock())
            self.notes.append(
                "who writes in a private chat what the box does not know by itself talks to the task "
                f"{assistant.NAME}: manage.py assistant off ends that"
            )
        elif not found.enabled:
            self.notes.append(
                f"the task {assistant.NAME} is switched off, and stays so: manage.py assistant on"
            )

    def _put_first(self) -> None:
        assert self.model is not None
        row = chains()[Work.CHAT]
        if row is not None and row.models_in_order:
            if self.model.name not in row.models_in_order:
                self.notes.append(
                    f"for chat the matrix names {', '.join(row.models_in_order)}, which stays so: "
                    f"manage.py models matrix chat {self.model.name} changes that"
                )
            return
        revision = row.revision if row else None
        set_chain(Work.CHAT, [self.model.name], CONSOLE, self.clock(), revision=revision)

    def connected(self) -> list[PlatformView]:
        """The platforms of the file, as soon as each was asked who we are; after a while as they are."""
        names = {one.name for one in self.loaded}
        until = time.monotonic() + _ASKED_WITHIN
        while True:
            views = [one for one in platforms() if one.name in names]
            asked = all(one.checked_at or not (one.enabled and one.available) for one in views)
            if asked or time.monotonic() > until:
                return views
            time.sleep(_LOOK_EVERY)

    def as_json(self) -> JsonObject:
        assert self.model is not None
        notices = {one.name: list(one.notices) for one in self.loaded}
        return {
            "address": self.plan.address,
            "model": {
                "name": self.model.name,
                "version": self.model.version,
                "imported": not self.plan.given.is_here,
                "engine": self.plan.plan.profile.engine.value,
            },
            "platforms": [
                {
                    "name": view.name,
                    "kind": view.kind,
                    "state": view.state.value,
                    "message": view.message,
                    "notices": [*notices[view.name]],
                }
                for view in self.connected()
            ],
            "cache": str(self.plan.cache),
            "notes": [*self.notes],
        }

    def as_lines(self) -> list[str]:
        assert self.model is not None
        name, engine = self.model.name, self.plan.plan.profile.engine.value
        came = "was here already" if self.plan.given.is_here else "was imported"
        lines = [
            f"Model: {name}@{self.model.version} {came}, and is handed to {engine}. "
            f"`manage.py models show {name}` says when it answers, and why where it does not."
        ]
        for view in self.connected():
            state = view.state.value if view.enabled else "off"
            lines.append(f"Platform {view.name}: {state} {view.message or view.identity}".rstrip())
        lines += [f"  {notice}" for one in self.loaded for notice in one.notices]
        if self.plan.fits:
            lines.append(f"It has no room at the moment: {self.plan.fits}.")
        lines.append(f"Caches of engines: {self.plan.cache}")
        return [*lines, *(f"Note: {note}." for note in self.notes)]
