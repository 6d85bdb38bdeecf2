"""apprise against three of its services: each is a member of its own, as each is a way out of its own."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from appliance.bridges.apprise.bridge import AppriseBridge
from appliance.bridges.ports import Bridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins import discord, mail, matrix

from ..family import Remote


class Apprise(Remote):
    kind = "apprise"
    conversation = "apprise"
    label: ClassVar[str]
    standin: Any

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        url, keys = self.address(root)
        made = context(
            "apprise",
            pool=idle_pool(),
            config={"apprise": "WHERE", **keys, **config},
            secrets={"WHERE": url, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return AppriseBridge(made)

    @abstractmethod
    def address(self, root: str) -> tuple[str, dict[str, str]]:
        """apprise's address of the service at ``root``, and keys beside it."""

    async def seen(self) -> Sequence[str]:
        return self.standin.texts  # type: ignore[no-any-return]

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files  # type: ignore[no-any-return]

    def said(self, text: str) -> JsonObject:
        return {"text": text}

    def pressed(self, data: str) -> JsonObject:
        return {"pressed": data}

    def buttons(self) -> list[tuple[str, str]]:
        return []


class Discord(Apprise):
    label = "apprise-discord"
    secrets = (discord.WEBHOOK_ID, discord.TOKEN)
    path = "/api/webhooks/"

    def __init__(self) -> None:
        self.standin = discord.DiscordStandin()
        self.bridge = self.build()

    def address(self, root: str) -> tuple[str, dict[str, str]]:
        return f"discord://{discord.WEBHOOK_ID}/{discord.TOKEN}", {"api_root": root}

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.fail(self.path, 429, {"retry_after": float(seconds)})

    def revoke(self) -> None:
        self.standin.token = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail(self.path, status)


class Matrix(Apprise):
    label = "apprise-matrix"
    secrets = (matrix.TOKEN,)

    def __init__(self) -> None:
        self.standin = matrix.MatrixStandin()
        self.bridge = self.build()

    def address(self, root: str) -> tuple[str, dict[str, str]]:
        return f"matrix://{matrix.TOKEN}@{urlsplit(root).netloc}/{matrix.ROOM}", {}

    def ask_for_patience(self, seconds: int) -> None:
        told = {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": seconds * 1000}
        self.standin.fail("/send/", 429, told)

    def revoke(self) -> None:
        self.standin.token = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("/send/", status)


class Mail(Apprise):
    label = "apprise-mail"
    secrets = (mail.PASSWORD,)
    patience_exact = False

    def __init__(self) -> None:
        self.standin = mail.MailStandin()
        self.bridge = self.build()

    def address(self, root: str) -> tuple[str, dict[str, str]]:
        server = urlsplit(root)
        port = server.port or 1
        people = f"{mail.USER}:{mail.PASSWORD}@plant.example:{port}"
        return f"mailto://{people}/?smtp={server.hostname}&from=box@plant.example&to=ann@plant.example", {}

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.plan["RCPT"] = ["451 4.7.1 Greylisted, come back later"]

    def revoke(self) -> None:
        self.standin.password = "another"

    def break_down(self, status: int) -> None:
        """The connection ends when everything was said, which is the one time when it may have been taken."""
        self.standin.plan["END"] = [""]


SERVICES = (Discord, Matrix, Mail)
