"""``GET /v1/models``: what can be asked for. Pure."""

import json

from appliance.inference.gateway.errors import ApiError, invalid
from appliance.inference.gateway.shaping import Asked, too_long
from appliance.inference.leases import Seen, View
from appliance.lib.jsontypes import JsonObject


def models(view: View, name: str) -> bytes:
    """All, or the one of this name (or ``name@version``). Raises ApiError with 404."""
    live = [one for one in view.models if not one.candidate]
    if not name:
        return json.dumps({"object": "list", "data": [_told(one) for one in live]}).encode()
    found = next((one for one in live if name in (one.model, f"{one.model}@{one.version}")), None)
    if found is None:
        raise ApiError(
            404, f"the model {name!r} is not served on this box", param="model", code="model_not_found"
        )
    return json.dumps(_told(found)).encode()


def why_never(view: View, asked: Asked) -> ApiError | None:
    """Why the model that was asked for by name can never answer this; None where it can, at another time."""
    found = next((one for one in view.models if one.model == asked.name.partition("@")[0]), None)
    if found is None:
        return None
    lacking = sorted(need.value for need in asked.needs - found.offers)
    if lacking:
        return invalid(f"{found.model} cannot do {', '.join(lacking)}", "model", "unsupported_model")
    if asked.longest > found.context:
        return too_long(asked.longest, found.context, asked.prompt_field)
    return None


def _told(one: Seen) -> JsonObject:
    return {
        "id": one.model,
        "object": "model",
        "created": 0,
        "owned_by": "millwright",
        "version": one.version,
        "digest": one.digest,
        "engine": one.engine.value,
        "state": one.state.value,
        "context": one.context,
        "offers": [*sorted(need.value for need in one.offers)],
    }
