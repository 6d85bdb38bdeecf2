"""The words of a task file, and which of them this version does not do yet."""

from enum import StrEnum

from appliance.lib.said import say


class Misfire(StrEnum):
    """What becomes of due times that passed while the box could not act."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"
    ASK = "ask"


class OverlapPolicy(StrEnum):
    """What becomes of an occurrence while a run with the same key is not finished."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_PREVIOUS = "cancel_previous"
    ALLOW = "allow"


class OnError(StrEnum):
    STOP = "stop"
    CONTINUE = "continue"


class Backoff(StrEnum):
    CONSTANT = "constant"
    EXPONENTIAL = "exponential"


class Confirm(StrEnum):
    """What is enough for a step to count as done, where the default waits for more."""

    HANDED_OVER = "handed_over"


class PayloadFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    NUMBER = "number"


class WebhookAuth(StrEnum):
    """How a caller proves itself. There is no way to ask for none."""

    BEARER = "bearer"
    BASIC = "basic"
    HMAC = "hmac"
    HMAC_TIMESTAMP = "hmac_timestamp"


class TriggerKind(StrEnum):
    CRON = "cron"
    EVERY = "every"
    AT = "at"
    MQTT = "mqtt"
    WEBHOOK = "webhook"
    CHAT = "chat"
    EVENT = "event"
    TASK = "task"
    MCP = "mcp"
    MANUAL = "manual"


ON_FAILURE_UNDO = "undo"
"""`on_failure: undo` instead of a list of actions."""

# A word in one of these lists is known and refused with a sentence: what is silently ignored would be a lie.
# The step that brings it takes it out of its list.
LATER_KINDS = frozenset(
    {
        "approval",
        "device_write",
        "firmware",
        "report",
        "sync",
    }
)
LATER_TRIGGERS: frozenset[str] = frozenset()
LATER_TRIGGER_KEYS: frozenset[str] = frozenset()
LATER_TASK_KEYS: frozenset[str] = frozenset()
LATER_STEP_KEYS: frozenset[str] = frozenset()
LATER_PARAMS: dict[str, frozenset[str]] = {}
LATER_VALUES: frozenset[tuple[str, str]] = frozenset()

NOT_YET = say("is known, but not in this version")
