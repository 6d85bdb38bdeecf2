"""The vocabulary of states as people read it: a word and a tone for each. Colour is never the only sign."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from appliance.lib.config import Durability

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Word:
    """A word to show, and its tone: ok, busy, wait, bad or off."""

    text: Text
    tone: str


DURABILITY: dict[Durability, Text] = {
    Durability.POWER_SAFE: _("Power-safe: what was acknowledged survives a power cut."),
    Durability.CRASH_SAFE: _("Crash-safe: a power cut may lose the last second of acknowledged messages."),
    Durability.OWN_BROKER: _("Your own broker decides what survives a power cut."),
}

WORDS: dict[str, Word] = {
    "allow": Word(_("allow"), "ok"),
    "deny": Word(_("deny"), "bad"),
    "box": Word(_("box"), "off"),
    "site": Word(_("site"), "off"),
    "queued": Word(_("queued"), "busy"),
    "running": Word(_("running"), "busy"),
    "waiting": Word(_("waiting"), "wait"),
    "succeeded": Word(_("succeeded"), "ok"),
    "failed": Word(_("failed"), "bad"),
    "nothing_done": Word(_("ended, nothing done"), "wait"),
    "partly_done": Word(_("ended, done in part"), "wait"),
    "unconfirmed": Word(_("ended, not confirmed"), "wait"),
    "cancelled": Word(_("cancelled"), "off"),
    "undone": Word(_("undone"), "off"),
    "poisoned": Word(_("parked"), "bad"),
    "intent": Word(_("running"), "busy"),
    "skipped": Word(_("skipped"), "off"),
    "handed_over": Word(_("handed over"), "wait"),
    "ambiguous": Word(_("unclear"), "wait"),
    "approval": Word(_("an approval"), "wait"),
    "timer": Word(_("a time"), "wait"),
    "network": Word(_("the network"), "wait"),
    "delivery": Word(_("delivery"), "wait"),
    "plant_state": Word(_("the plant's state"), "wait"),
    "all_stop": Word(_("the all-stop"), "wait"),
    "policy": Word(_("the policy"), "wait"),
    "budget": Word(_("its budget"), "wait"),
    "retry": Word(_("another try"), "wait"),
    "turn": Word(_("its turn"), "wait"),
    "pending": Word(_("waiting"), "wait"),
    "sending": Word(_("under way"), "busy"),
    "delivered": Word(_("delivered"), "ok"),
    "expired": Word(_("expired"), "bad"),
    "approved": Word(_("approved"), "ok"),
    "denied": Word(_("denied"), "bad"),
    "acknowledged": Word(_("acknowledged"), "ok"),
    "exhausted": Word(_("nobody has answered"), "bad"),
    "withdrawn": Word(_("withdrawn"), "off"),
    "taken": Word(_("taken over"), "ok"),
    "rejected": Word(_("rejected"), "off"),
    "replaced": Word(_("replaced by a newer one"), "off"),
    "void": Word(_("void"), "off"),
    "used": Word(_("approved"), "ok"),
    "shards": Word(_("its shards"), "wait"),
    "agent": Word(_("its agent"), "busy"),
    "fired": Word(_("fired"), "ok"),
    "ran": Word(_("ran"), "ok"),
    "planned": Word(_("planned"), "off"),
    "missed": Word(_("missed"), "wait"),
    "suppressed": Word(_("suppressed"), "off"),
    "healthy": Word(_("healthy"), "ok"),
    "away": Word(_("away"), "bad"),
    "short": Word(_("short of room"), "bad"),
    "online": Word(_("online"), "ok"),
    "degraded": Word(_("partly away"), "wait"),
    "offline": Word(_("offline"), "bad"),
    "up": Word(_("reached"), "ok"),
    "down": Word(_("away"), "bad"),
    "unknown": Word(_("not known yet"), "off"),
    "closed": Word(_("sends"), "ok"),
    "open": Word(_("rests after failures"), "bad"),
    "half_open": Word(_("tries again"), "wait"),
    "ok": Word(_("connected"), "ok"),
    "deaf": Word(_("deaf"), "bad"),
    "mon": Word(_("Mon"), "off"),
    "tue": Word(_("Tue"), "off"),
    "wed": Word(_("Wed"), "off"),
    "thu": Word(_("Thu"), "off"),
    "fri": Word(_("Fri"), "off"),
    "sat": Word(_("Sat"), "off"),
    "sun": Word(_("Sun"), "off"),
    "in_time": Word(_("in time"), "ok"),
    "too_slow": Word(_("too slow"), "bad"),
    "effects": Word(_("effects"), "off"),
    "tokens": Word(_("tokens"), "off"),
    "unavailable": Word(_("not available"), "off"),
    "on": Word(_("on"), "ok"),
    "off": Word(_("off"), "off"),
    "held": Word(_("held"), "bad"),
    "good": Word(_("good"), "ok"),
    "binary": Word(_("binary"), "off"),
    "large": Word(_("too large"), "off"),
    "pure": Word(_("changes nothing"), "off"),
    "idempotent": Word(_("safe to repeat"), "off"),
    "keyed": Word(_("dropped if repeated"), "off"),
    "unsafe": Word(_("never repeated"), "off"),
    "viewer": Word(_("viewer"), "off"),
    "operator": Word(_("operator"), "off"),
    "engineer": Word(_("engineer"), "off"),
    "admin": Word(_("administrator"), "off"),
    "active": Word(_("active"), "ok"),
    "disabled": Word(_("locked out"), "off"),
    "revoked": Word(_("revoked"), "off"),
    "added": Word(_("added"), "ok"),
    "removed": Word(_("removed"), "bad"),
    "same": Word(_("unchanged"), "off"),
    "unchanged": Word(_("unchanged"), "off"),
    "created": Word(_("new"), "ok"),
    "changed": Word(_("changed"), "wait"),
    "none": Word(_("none"), "off"),
    "mine": Word(_("this box"), "ok"),
    "theirs": Word(_("the other box"), "ok"),
    "alike": Word(_("both wrote the same"), "ok"),
    "merged": Word(_("merged"), "ok"),
    "ask": Word(_("a person decides"), "wait"),
    "local": Word(_("this box wins"), "off"),
    "remote": Word(_("the other box wins"), "off"),
    "newest": Word(_("the newer edit wins"), "off"),
    "merge": Word(_("both are merged"), "off"),
    "info": Word(_("note"), "off"),
    "warning": Word(_("warning"), "wait"),
    "critical": Word(_("critical"), "bad"),
    "absent": Word(_("not loaded"), "off"),
    "creating": Word(_("being started"), "busy"),
    "loading": Word(_("loading"), "busy"),
    "ready": Word(_("ready"), "ok"),
    "allowed": Word(_("allowed"), "ok"),
    "not_allowed": Word(_("not allowed"), "off"),
    "gone": Word(_("gone"), "off"),
    "unusable": Word(_("cannot be used"), "off"),
    "draining": Word(_("ends what is under way"), "wait"),
    "stopping": Word(_("being stopped"), "wait"),
    "granted": Word(_("granted"), "ok"),
    "fell_back": Word(_("another one instead"), "wait"),
    "waited": Word(_("told to wait"), "busy"),
    "refused": Word(_("turned away"), "bad"),
    "evicted": Word(_("sent away"), "off"),
    "evicting": Word(_("making room"), "wait"),
    "quarantined": Word(_("left alone"), "bad"),
    "testing": Word(_("being tested"), "busy"),
    "passed": Word(_("passed"), "ok"),
    "completion": Word(_("a real answer"), "off"),
    "conformance": Word(_("tool calls"), "off"),
    "context": Word(_("length of the context"), "off"),
    "injection": Word(_("instructions in data"), "off"),
    "golden": Word(_("your own questions"), "off"),
    "vectors": Word(_("vectors"), "off"),
    "not served": Word(_("not served"), "off"),
    "missing": Word(_("its files are missing"), "bad"),
    "chat": Word(_("chat"), "off"),
    "code": Word(_("code"), "off"),
    "logs": Word(_("logs"), "off"),
    "classification": Word(_("classification"), "off"),
    "extraction": Word(_("extraction"), "off"),
    "embeddings": Word(_("embeddings"), "off"),
    "anomaly": Word(_("anomalies"), "off"),
    "freeze": Word(_("freeze: no new effect"), "bad"),
    "kill": Word(_("kill: end what runs"), "bad"),
    "cut": Word(_("cut: nothing leaves the box"), "bad"),
    "read_only": Word(_("read only: people can only look"), "bad"),
}

PRIORITIES: dict[str, Text] = {
    "low": _("low priority"),
    "normal": _("normal priority"),
    "high": _("high priority"),
    "critical": _("critical priority"),
}
"""How urgent somebody is who waits (appliance/lib/priority.py)."""

STAGES: dict[str, Text] = {
    "copying": _("copying"),
    "downloading": _("downloading"),
    "checking": _("checking"),
}
"""What an import is at (appliance/inference/catalogue)."""

SEVERITIES: dict[str, Word] = {
    "high": Word(_("serious"), "bad"),
    "medium": Word(_("a gap"), "wait"),
    "low": Word(_("could be better"), "off"),
}
"""How much a finding of the doctor weighs (appliance/lib/doctor.py)."""

COMMANDS: dict[str, Word] = {
    "read": Word(_("reads only"), "off"),
    "change": Word(_("makes changes"), "off"),
    "destroy": Word(_("destroys"), "bad"),
    "unknown": Word(_("not understood"), "wait"),
}
"""What a command does, by its class (appliance/safety/commands)."""

KINDS: dict[str, Text] = {
    "shell": _("Run a command"),
    "container": _("Run a container"),
    "mqtt": _("Publish an MQTT message"),
    "http": _("Call an address"),
    "sql": _("Change a database"),
    "notification": _("Send a message"),
    "device_write": _("Change a device"),
    "task": _("Run another task"),
    "approval": _("Answer a question"),
    "agent": _("Let an agent work"),
    "agent_plan": _("Do what an agent proposes"),
    "llm": _("Ask a model"),
    "mcp_call": _("Call a tool of another server"),
}
"""What an action does, in plain words, for those who are to allow it."""

LANES: dict[str, Text] = {
    "instant": _("Reflex lane: every step is instant and may safely be done again."),
    "no_message": _("Worker lane: no MQTT message starts it."),
    "slow_step": _("Worker lane: a step takes longer than an instant."),
    "unsafe_step": _("Worker lane: a step must never be done twice."),
    "kept_values": _("Worker lane: a step uses kept values."),
    "overlap": _("Worker lane: its overlap rule looks at other runs first."),
    "limit": _("Worker lane: its limit counts its runs first."),
    "hold": _("Worker lane: a trigger of it looks on before it fires."),
    "undo": _("Worker lane: it is undone where a step fails."),
}
"""Where runs are performed, and why (appliance/runs/reflex/choice.py)."""

PARTS: dict[str, Text] = {
    "postgres": _("Database"),
    "redis": _("Redis"),
    "broker": _("MQTT broker"),
    "reactor": _("Reactor"),
    "worker": _("Worker"),
    "beat": _("Clock"),
    "spawner": _("Sandbox"),
    "guard": _("Containers"),
    "rules": _("Rules of the kernel"),
    "disk": _("Disk"),
    "keeper": _("Models"),
}


ABILITIES: dict[str, Text] = {
    "view": _("look at everything"),
    "run_tasks": _("start tasks"),
    "cancel_runs": _("cancel runs"),
    "approve": _("approve"),
    "stop_all": _("engage the all-stop"),
    "chat": _("write in the chat"),
    "use_models": _("use the models"),
    "publish": _("publish on the bus"),
    "edit_tasks": _("edit tasks"),
    "manage_devices": _("manage devices"),
    "manage_models": _("manage models"),
    "manage_bridges": _("manage platforms"),
    "release_stop": _("release the all-stop"),
    "view_audit": _("read the audit record"),
    "examine": _("let the doctor look at the box"),
    "simulate": _("use the simulator"),
    "use_secrets": _("let tasks use secrets"),
    "manage_users": _("manage people"),
    "manage_secrets": _("manage secrets"),
    "manage_policy": _("change the policy"),
    "manage_box": _("manage the box"),
}
"""What a role or a token may do, as people read it."""


def word(value: Any) -> Word:
    """The word of a state; an unknown one is shown as it is."""
    return WORDS.get(str(value)) or Word(str(value), "off")
