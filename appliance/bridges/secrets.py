"""Secrets of a platform configuration: references to variables or to named secrets, or literals."""

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel

from appliance.accounts.principal import Principal
from appliance.lib.config import ROOT, get_config
from appliance.lib.environment import ConfigInvalid, Settings, read_env_file
from appliance.lib.said import say
from appliance.outbox.errors import NotReady
from appliance.safety.errors import SecretMissing, SecretUnreadable
from appliance.safety.secrets import is_reference, keep_secret, resolve, resolve_async

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
PROXIES = ("http", "https", "socks5", "socks5h")
_PASSWORD = re.compile(r"//[^/@]*@")
Lookup = Callable[[str], str | None]


class Secret(RootModel[str]):
    """A secret in a configuration: the name of a variable in capitals (``BOT_TOKEN``), ``secret:NAME``, or a
    literal, which becomes a named secret before the configuration is kept."""

    model_config = ConfigDict(frozen=True)

    @property
    def variable(self) -> str | None:
        return self.root if _VARIABLE.fullmatch(self.root) else None

    @property
    def is_literal(self) -> bool:
        return not is_reference(self.root) and self.variable is None

    @property
    def named(self) -> str:
        """As the box's secrets know it: a variable that is not set may be a named secret of the same name."""
        return f"secret:{self.variable}" if self.variable else self.root

    def __repr__(self) -> str:
        return "Secret(hidden)" if self.is_literal else f"Secret({self.root})"

    __str__ = __repr__


class ProxyUrl(Secret):
    """A proxy's address; only one with a password in it is a secret."""

    @property
    def variable(self) -> str | None:
        return None

    @property
    def is_literal(self) -> bool:
        return not is_reference(self.root) and bool(_PASSWORD.search(self.root))


def _reachable(proxy: ProxyUrl) -> ProxyUrl:
    parts = urlsplit(proxy.root)
    if not is_reference(proxy.root) and (parts.scheme not in PROXIES or not parts.hostname):
        raise ValueError(say("expected an address such as socks5://host:1080 or http://host:3128"))
    return proxy


Proxy = Annotated[ProxyUrl, AfterValidator(_reachable)]
"""The proxy of one bridge: http, https, socks5 (names are resolved here) or socks5h (by the proxy)."""


def mark(purpose: str, key: str | None = None) -> str:
    """64 hexadecimal digits that only this box can make, always the same for one purpose."""
    return hmac.new((key or get_config().secret_key).encode(), purpose.encode(), hashlib.sha256).hexdigest()


def variable(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The value of a variable of the environment or the ``.env`` file, or of the file ``NAME_FILE`` names."""
    try:
        file = environ.get("MILLWRIGHT_ENV_FILE")
        return Settings(environ, read_env_file(Path(file) if file else ROOT / ".env")).find(name)
    except ConfigInvalid as error:
        raise NotReady(error.message, hint=error.hint) from error


def secrets_of(config: BaseModel, path: str = "") -> Iterator[tuple[str, Secret]]:
    """Every secret of a configuration with its place: ``auth``, ``auth.app_id``."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Secret):
            yield path + name, value
        elif isinstance(value, BaseModel):
            yield from secrets_of(value, f"{path}{name}.")


def own_secret(platform: str, place: str) -> str:
    """The named secret that keeps what was typed, or stood in a file, at this place of a platform."""
    return f"platform.{platform}.{place}"


def resting_form(
    config: BaseModel, platform: str, typed: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration as it may rest, and its literal secrets by their places, each of which became a reference.

    ``typed``: places whose text is a value, even if it looks like the name of a variable.
    """
    kept: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True, by_alias=True)
    literals: dict[str, str] = {}
    for place, secret in secrets_of(config):
        if not is_literal(place, secret, typed):
            continue
        literals[place] = secret.root
        *folders, last = place.split(".")
        target = kept
        for folder in folders:
            target = target[folder]
        target[last] = f"secret:{own_secret(platform, place)}"
    return kept, literals


def is_literal(place: str, secret: Secret, typed: Collection[str]) -> bool:
    """Whether the text is the secret itself."""
    return secret.is_literal or (place in typed and not is_reference(secret.root))


def adopt_variables(
    config: BaseModel, by: Principal, now: datetime, lookup: Lookup = variable, typed: Collection[str] = ()
) -> list[str]:
    """Keep the values of referenced variables as named secrets of the same names; gives those that are new.

    Who loads a configuration has them in the environment; the box's own processes, which need them, do not.
    """
    adopted = []
    for place, secret in secrets_of(config):
        value = lookup(secret.variable) if secret.variable and place not in typed else None
        if secret.variable and value and value != _named_now(secret.variable):
            keep_secret(secret.variable, value, by, now)
            adopted.append(secret.variable)
    return adopted


def resolved_now(config: BaseModel, lookup: Lookup = variable) -> dict[str, str]:
    """The values of all secrets by their text, from a thread. Raises NotReady: what a person has to do."""
    found: dict[str, str] = {}
    for _, secret in secrets_of(config):
        with _translated(secret):
            found[secret.root] = _from_environment(secret, lookup) or resolve(secret.named)
    return found


async def resolved(
    connection: AsyncConnection[Any], config: BaseModel, lookup: Lookup = variable
) -> dict[str, str]:
    """As ``resolved_now``, on an asynchronous connection."""
    found: dict[str, str] = {}
    for _, secret in secrets_of(config):
        with _translated(secret):
            value = _from_environment(secret, lookup) or await resolve_async(connection, secret.named)
            found[secret.root] = value
    return found


def _from_environment(secret: Secret, lookup: Lookup) -> str | None:
    return lookup(secret.variable) if secret.variable else None


def _named_now(name: str) -> str | None:
    try:
        return resolve(f"secret:{name}")
    except (SecretMissing, SecretUnreadable):
        return None


@contextmanager
def _translated(secret: Secret) -> Iterator[None]:
    """A missing or unreadable secret is something for a person to mend."""
    try:
        yield
    except SecretMissing as error:
        name = secret.named.removeprefix("secret:")
        raise NotReady(
            say("the secret %(name)s is not set", name=name),
            hint=say("enter it on the platform page, or: manage.py secrets set %(name)s", name=name),
        ) from error
    except SecretUnreadable as error:
        raise NotReady(error.message, hint=say("enter it again on the platform page")) from error
