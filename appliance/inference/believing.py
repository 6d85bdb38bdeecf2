"""Whom whoever asks an engine believes that it is the one."""

import ssl
from functools import cache

from appliance.inference.errors import ModelUnavailable
from appliance.lib.authorities import authorities_with
from appliance.lib.config import get_config


def believed(url: str) -> ssl.SSLContext:
    """For httpx's ``verify``: the usual authorities, and those of the operator's own file, where the engine at ``url``
    has TLS. Engines on this machine have none. Raises ModelUnavailable where that file cannot be read."""
    if not url.startswith("https:"):
        return _nobody()
    file = get_config().remote_models_ca
    try:
        return authorities_with(file)
    except OSError as error:
        raise ModelUnavailable(f"the authorities in {file} cannot be read: {error}") from error


@cache
def _nobody() -> ssl.SSLContext:
    """Knows no authority, should it ever be asked; reading those takes time and memory."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
