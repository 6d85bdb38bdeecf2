"""Which of apprise's services the box uses, by the scheme of their address. A closed list: none of them runs a program,
reads a file, or calls an address that is not the service's own."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, urlsplit

from appliance.bridges.capabilities import LengthUnit
from appliance.lib.said import say

REFUSED_KEYS = frozenset(
    {"template", "pgp", "pgppub", "pgpprv", "wkd", "verify", "redirect", "e2ee", "autoverify", "store"}
    | {"format", "overflow", "emojis", "optional", "retry", "wait", "cto", "rto"}
)
"""What an address may not ask for: files and keys from elsewhere, certificates that nobody looks at, redirects; and
what the box decides itself: format, length, repeats, time limits."""


class Asking(StrEnum):
    """How to learn whether a service is there and knows us, without a message to anybody."""

    WEBHOOK = "webhook"
    WHOAMI = "whoami"
    MAIL = "mail"
    HOST = "host"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Service:
    """``module`` and ``plugin`` name it within apprise. ``asking`` HOST: the host of the address is the service's own.

    ``text_limit`` counts ``unit``s; for Discord half of what it takes, as every character may need a backslash.
    """

    title: str
    module: str
    plugin: str
    asking: Asking = Asking.NOTHING
    root: str = ""
    """The service's own address, where each customer has the same."""
    text_limit: int = 1000
    unit: LengthUnit = LengthUnit.CHARACTERS
    attachment_limit: int = 0
    elsewhere: bool = False
    """Whether a message's conversation can be another than that of the address."""


_HOST = Asking.HOST
_SERVICES: dict[str, Service] = {
    "discord": Service(
        "Discord", "discord", "NotifyDiscord", Asking.WEBHOOK, "https://discord.com",
        unit=LengthUnit.UTF16, attachment_limit=8_000_000,
    ),
    "matrix matrixs": Service(
        "Matrix", "matrix", "NotifyMatrix", Asking.WHOAMI,
        text_limit=16_000, unit=LengthUnit.BYTES, attachment_limit=10_000_000, elsewhere=True,
    ),
    "mailto mailtos": Service(
        "e-mail", "email", "NotifyEmail", Asking.MAIL,
        text_limit=100_000, attachment_limit=10_000_000, elsewhere=True,
    ),
    "bark barks": Service("Bark", "bark", "NotifyBark", _HOST),
    "gchat": Service("Google Chat", "google_chat", "NotifyGoogleChat", root="https://chat.googleapis.com"),
    "gotify gotifys": Service("Gotify", "gotify", "NotifyGotify", _HOST),
    "hassio hassios": Service("Home Assistant", "home_assistant", "NotifyHomeAssistant", _HOST),
    "line": Service("LINE", "line", "NotifyLine", root="https://api.line.me"),
    "mmost mmosts": Service("Mattermost", "mattermost", "NotifyMattermost", _HOST),
    "nctalk nctalks": Service("Nextcloud Talk", "nextcloudtalk", "NotifyNextcloudTalk", _HOST),
    "ntfy ntfys": Service("ntfy", "ntfy", "NotifyNtfy"),
    "pagerduty": Service("PagerDuty", "pagerduty", "NotifyPagerDuty"),
    "pbul": Service("Pushbullet", "pushbullet", "NotifyPushBullet", root="https://api.pushbullet.com"),
    "pover": Service("Pushover", "pushover", "NotifyPushover", root="https://api.pushover.net"),
    "pushdeer pushdeers": Service("PushDeer", "pushdeer", "NotifyPushDeer"),
    "rocket rockets": Service("Rocket.Chat", "rocketchat", "NotifyRocketChat", _HOST),
    "schan": Service("ServerChan", "serverchan", "NotifyServerChan", root="https://sctapi.ftqq.com"),
    "signal signals": Service("Signal", "signal_api", "NotifySignalAPI", _HOST),
    "threema": Service("Threema", "threema", "NotifyThreema", root="https://msgapi.threema.ch"),
    "webex wxteams": Service("Webex", "webexteams", "NotifyWebexTeams", root="https://api.ciscospark.com"),
    "zulip": Service("Zulip", "zulip", "NotifyZulip"),
}  # fmt: skip
SERVICES: dict[str, Service] = {
    scheme: service for schemes, service in _SERVICES.items() for scheme in schemes.split()
}


def service_of(url: str) -> Service:
    """The service that an address of apprise means. Raises ValueError: what is wrong, and nothing of the address but
    its scheme and the names of its keys."""
    scheme, mark, rest = url.strip().partition("://")
    if not mark or not rest:
        raise ValueError(say("expected an address of apprise, such as discord://ID/TOKEN or mailtos://…"))
    service = SERVICES.get(scheme.lower())
    if service is None:
        known = ", ".join(sorted(SERVICES))
        raise ValueError(
            say(
                "%(scheme)s:// is not one of the schemes that the box uses: %(known)s",
                scheme=scheme[:20],
                known=known,
            )
        )
    for name, _ in parse_qsl(split_address(url).query, keep_blank_values=True):
        key = name.strip().lower()
        if key in REFUSED_KEYS:
            raise ValueError(
                say("an address may not have the key %(key)r: the box decides that itself", key=key)
            )
    return service


def split_address(url: str) -> SplitResult:
    """The parts of an address. Raises ValueError without any of it in its words."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise ValueError(say("expected an address of apprise; this one cannot be read")) from None
    return parts


def reached_at(url: str) -> str:
    """Where the box connects to first, as a URL; empty where only apprise knows."""
    service, parts = service_of(url), split_address(url)
    if service.asking is Asking.MAIL:
        server = dict(parse_qsl(parts.query)).get("smtp", "")
        plain = parts.scheme == "mailto"
        return f"smtp://{server}:{parts.port or (25 if plain else 587)}" if server else ""
    if service.asking in (Asking.HOST, Asking.WHOAMI):
        scheme = "https" if parts.scheme.endswith("s") else "http"
        port = f":{parts.port}" if parts.port else ""
        return f"{scheme}://{parts.hostname}{port}" if parts.hostname else ""
    return service.root
