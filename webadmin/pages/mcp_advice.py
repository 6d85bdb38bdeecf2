"""What went wrong with a server of tools, as its page says it: what to do here, not at a command line."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from appliance.actions.addresses import is_public
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.safety.errors import SecretMissing

_TYPED = "manage.py secrets set "
_PRIVATE = "where it is meant to, say so: "
_AT_A_CONSOLE = re.compile(rf" \((?:{re.escape(_TYPED)}|{re.escape(_PRIVATE)})[^()]*\)$")


@dataclass(frozen=True, slots=True)
class Problem:
    """``what`` is kept text. ``secrets``: the page of the secrets helps."""

    what: str
    advice: str
    secrets: bool = False


def problem_of(text: str, spec: ServerSpec) -> Problem | None:
    """Of the last look; None where it went well, or nobody has looked."""
    if not text:
        return None
    what = _AT_A_CONSOLE.sub("", text)
    if _TYPED in text:
        return Problem(what, _("Set the secret, then look again."), secrets=True)
    if _PRIVATE in text:
        return Problem(what, tick())
    if spec.command:
        return Problem(what, _("Check that the command is there and can be run, then look again."))
    return Problem(what, _("Check that the server runs and that its address is right, then look again."))


def without_flags(text: str) -> str:
    return _AT_A_CONSOLE.sub("", text)


def inside() -> str:
    return _("This address lies in the plant's own network.")


def tick() -> str:
    return _("If that is meant, tick “It lies in the plant's own network” and save.")


def lies_inside(url: str) -> bool:
    """Whether the address is written as one that is not of the internet. Names are looked up when it is looked at."""
    host = urlsplit(url).hostname or ""
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def no_secret(error: SecretMissing) -> SafeString:
    return format_html(
        '{} <a href="{}">{}</a>', error.message, reverse("secrets"), _("Set it on the page Secrets.")
    )
