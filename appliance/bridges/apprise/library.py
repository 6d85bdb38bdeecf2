"""apprise itself. Only a thread that has something for it imports this module: a box that has no such platform does
without its memory."""

import contextlib
import logging
import mimetypes
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from apprise import AppriseAsset, AppriseAttachment, NotifyFormat, PersistentStoreMode
from apprise.attachment.memory import AttachMemory

from appliance.bridges.api import blot_out
from appliance.bridges.apprise.catalogue import Asking, Service
from appliance.bridges.apprise.doors import HttpDoor, MailDoor
from appliance.bridges.messages import Attachment
from appliance.lib.masking import KNOWN
from appliance.outbox.errors import NotReady

LOGGER = "apprise"
ASSET = AppriseAsset(
    app_id="Millwright",
    app_desc="Millwright",
    app_url="",
    image_url_mask="",
    image_url_logo="",
    http_redirects=False,
    pgp_autogen=False,
    pem_autogen=False,
    async_mode=False,
    language="en",
    secure_logging=True,
    storage_mode=PersistentStoreMode.MEMORY,
)


def _module_of(service: Service) -> Any:
    """One service's module, with the box's doors in it; the others are never loaded."""
    logging.getLogger(LOGGER).setLevel(logging.WARNING)  # what it says below that has addresses in it
    blot_out(LOGGER)
    module = import_module(f"apprise.plugins.{service.module}")
    if service.asking is Asking.MAIL:
        import_module("apprise.plugins.email.smtp").smtplib = MailDoor  # type: ignore[attr-defined]
    else:
        way_out = import_module(getattr(module, service.plugin).__module__)
        way_out.requests = HttpDoor  # type: ignore[attr-defined]
    return module


def plugin_of(service: Service, url: str, conversation: str | None = None) -> Any:
    """apprise's object for an address; ``conversation`` takes the place of its recipients. A new one for each message:
    some remember what they were doing. Raises NotReady."""
    kind = getattr(_module_of(service), service.plugin)
    meant = kind.parse_url(url) or {}
    for secret in _private(kind, meant):
        KNOWN.learn(secret)
    if service.asking is Asking.WHOAMI:
        _as_matrix(meant)
    if conversation is not None:
        meant["targets"] = [conversation]
    try:
        plugin = kind(**meant, asset=ASSET)
    except (
        Exception
    ) as error:  # whatever it is, a person has to look at the address; its words repeat the address
        raise NotReady(
            f"apprise cannot read this address of {service.title} ({type(error).__name__})",
            hint=kind.setup_url,
        ) from None
    plugin.request_rate_per_sec = 0  # the outbox has the pace
    if service.asking is Asking.WHOAMI:
        plugin._room_create = lambda room: None  # a room that nobody is in is no delivery
    return plugin


def _private(kind: Any, meant: dict[str, Any]) -> Iterator[str]:
    """The values that apprise itself holds private."""
    yield meant.get("password") or ""
    for name, about in {**kind.template_tokens, **kind.template_args}.items():
        value = meant.get(about.get("map_to", name)) if about.get("private") else None
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _as_matrix(meant: dict[str, Any]) -> None:
    """With a token of its own, and without keys that would have to be kept."""
    if meant.get("user") or not meant.get("password"):
        raise NotReady(
            "Matrix is used with an access token, as in matrixs://TOKEN@host/!room",
            hint="with a password each message would be a log-in of a new device",
        )
    meant |= {"e2ee": False, "autoverify": False}


def send(plugin: Any, text: str, title: str, attachment: Attachment | None) -> bool:
    """Within a route. Gives what apprise gives."""
    if attachment is None:
        return bool(plugin.notify(body=text, title=title, body_format=NotifyFormat.TEXT))
    with contextlib.closing(_File(attachment)) as file:
        files = AppriseAttachment([file], asset=ASSET)
        return bool(plugin.notify(body=text, title=title, body_format=NotifyFormat.TEXT, attach=files))


def greet(plugin: Any) -> bool:
    """Within a route: connect to the mail server, log in, and leave."""
    talk = import_module("apprise.plugins.email.smtp").AppriseSMTPController
    with talk(
        host=plugin.smtp_host,
        port=plugin.port,
        secure_mode=plugin.secure_mode,
        user=plugin.user,
        password=plugin.password,
    ):
        return True


class _File(AttachMemory):
    """A file in memory, with a path too: some services open it by that. It is nowhere on a disk."""

    def __init__(self, attachment: Attachment) -> None:
        kind = attachment.media_type.partition(";")[0].strip()
        known = kind in mimetypes.types_map.values()
        name = Path(attachment.name).name or "file"
        super().__init__(  # type: ignore[no-untyped-call]
            attachment.content, name, kind if known else None, asset=ASSET
        )
        self._handle = os.memfd_create("attachment")
        with open(self._handle, "wb", closefd=False) as there:
            there.write(attachment.content)

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self._handle}"

    def close(self) -> None:
        os.close(self._handle)
