"""Servers of tools, their tools, and what of what they say is kept. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.actions.addresses import AddressRefused, split
from appliance.agent.domain import Risk
from appliance.agent.errors import McpRefused
from appliance.agent.mcp.client.cleaning import WORD, clean
from appliance.agent.mcp.client.driver import digest_of
from appliance.agent.mcp.client.schemas import Unfit, tidied
from appliance.agent.tools.registry import REMOTE
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_text
from appliance.lib.said import say
from appliance.safety.references import PREFIX as SECRET
from appliance.safety.references import REFERENCE

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
TOOL = WORD
ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
PREFIX = REMOTE
MOST_WORDS = 50


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One server: either at a ``url``, or a ``command`` that is run confined for each talk.

    ``secret`` is ``secret:NAME``: sent as its bearer token, or put into the command's variable ``env``. ``private``:
    the url may lie in the plant's own network. ``reads``: absolute paths that the command may read.
    """

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    secret: str = ""
    env: str = ""
    private: bool = False
    reads: tuple[str, ...] = ()
    enabled: bool = True

    def checked(self) -> "ServerSpec":
        """Itself. Raises McpRefused."""
        if not NAME.fullmatch(self.name):
            raise McpRefused(
                f"{self.name[:60]!r} is no name of a server",
                hint="small letters, digits, - and _, as in shop",
            )
        if bool(self.url) == bool(self.command):
            raise McpRefused("a server has either an address or a command", hint="one of both, not none")
        if self.url:
            _check_address(self.url)
        if self.secret and not re.fullmatch(REFERENCE, self.secret):
            raise McpRefused("the token is named, not told", hint="as in secret:SHOP_TOKEN")
        if self.command and bool(self.secret) != bool(self.env):
            raise McpRefused(
                "a command gets its secret in a variable", hint="name the secret and the variable, or neither"
            )
        if self.env and not ENV.fullmatch(self.env):
            raise McpRefused(f"{self.env[:60]!r} is no name of a variable")
        if self.url and (self.env or self.reads):
            raise McpRefused(
                "only a command has a variable and paths to read",
                hint="a server at an address gets its secret as its bearer token",
            )
        said = (self.url, *self.command, *self.reads)
        if any(len(one) > 500 or not one.isprintable() for one in said) or len(self.command) > MOST_WORDS:
            raise McpRefused("address, command and paths are printable text of at most 500 characters")
        if any(not one.startswith("/") for one in self.reads):
            raise McpRefused("what a command may read is an absolute path")
        return self

    @property
    def reached(self) -> tuple[object, ...]:
        """Who is talked to, as whom, and what that reaches, exactly: with anything of it another one its tools are
        others.

        The secret's name and the variable are part of it: by a token a server knows which account, plant or database
        is meant. A new value under the same name is the same credential, renewed.
        """
        return self.url, self.command, self.reads, self.private, self.secret, self.env

    @property
    def spoken_as(self) -> str:
        """The name of the secret by which it knows the box; empty where there is none."""
        return self.secret.removeprefix(SECRET)

    @property
    def place(self) -> str:
        """What people read."""
        return self.url or " ".join(self.command)


def _check_address(url: str) -> None:
    """Raises McpRefused."""
    if not re.match(r"https?://[^/\s]", url):
        raise McpRefused(f"{url[:60]!r} is no address", hint="as in https://tools.example/mcp")
    try:
        split(url)
    except AddressRefused as error:
        hint = "its token is a stored secret, named as secret:NAME" if "@" in url else None
        raise McpRefused(error.message, hint=hint) from error


class ToolState(StrEnum):
    OPEN = "allowed"
    CLOSED = "not_allowed"
    CHANGED = "changed"
    """It was allowed, and is another one now: closed until it is allowed again."""
    GONE = "gone"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class ToolSeen:
    """A tool as its server described it. ``unusable`` says why it cannot be allowed."""

    name: str
    says: str
    schema: JsonObject
    digest: str
    hints: JsonObject = field(default_factory=dict)
    unusable: str = ""

    @classmethod
    def of(cls, name: str, description: str, schema: Any, hints: Mapping[str, Any]) -> "ToolSeen":
        digest = digest_of(name, description, schema)
        kept, why = kept_of(name, schema)
        known = {key: hints[key] is True for key in ("readOnlyHint", "destructiveHint") if key in hints}
        return cls(plain_text(name)[:100], clean(description), kept, digest, dict(known), why)


def kept_of(name: str, schema: Any) -> tuple[JsonObject, str]:
    """What is kept of a tool's schema, and why the tool cannot be used; empty where it can."""
    if not TOOL.fullmatch(name):
        return {}, str(say("its name has other characters than letters, digits and _ . $ -, or over 64"))
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return {}, str(say("its arguments are no object"))
    try:
        return tidied(schema), ""
    except Unfit as error:
        return {}, str(error)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A tool as a step begins with it: whatever its server says later, this is what it is."""

    server: str
    tool: str
    says: str
    schema: JsonObject
    risk: Risk
    digest: str

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.server}.{self.tool}"

    def to_json(self) -> JsonObject:
        return {
            "server": self.server,
            "tool": self.tool,
            "says": self.says,
            "schema": self.schema,
            "risk": self.risk.value,
            "digest": self.digest,
        }

    @classmethod
    def of(cls, given: Mapping[str, JsonValue]) -> "Pinned":
        schema = given.get("schema")
        return cls(
            str(given["server"]),
            str(given["tool"]),
            str(given.get("says", "")),
            schema if isinstance(schema, dict) else {},
            Risk(str(given["risk"])),
            str(given["digest"]),
        )
