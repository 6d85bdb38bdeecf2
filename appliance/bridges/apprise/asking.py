"""Questions to services that no person sees."""

from typing import Any

from appliance.bridges.api import PlatformApi
from appliance.bridges.apprise.catalogue import Asking, Service
from appliance.bridges.apprise.route import refusal
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused


async def ask(api: PlatformApi, service: Service, plugin: Any, root: str) -> str:
    """Who we are there, as far as the service says. ``root`` is where it is reached. Raises DeliveryError."""
    match service.asking:
        case Asking.WEBHOOK:
            path = f"{root}/api/webhooks/{plugin.webhook_id}/{plugin.webhook_token}"
            return str((await _get(api, service, path)).get("name") or "")
        case Asking.WHOAMI:
            headers = {"authorization": f"Bearer {plugin.password}"}
            path = f"{root}/_matrix/client/v3/account/whoami"
            return str((await _get(api, service, path, headers)).get("user_id") or "")
        case Asking.HOST:
            await api.request("GET", f"{root}/")
    return ""


async def _get(
    api: PlatformApi, service: Service, path: str, headers: dict[str, str] | None = None
) -> JsonObject:
    answer = await api.request("GET", path, headers=headers)
    if answer.status >= 400:
        raise refusal(service.title, answer.status)
    if answer.status != 200:
        raise DeliveryRefused(f"{service.title} answers with status {answer.status}")
    return answer.fields
