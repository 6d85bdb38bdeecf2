"""Whom the box believes that a server is who it says."""

import ssl
from functools import cache
from pathlib import Path


@cache
def authorities() -> ssl.SSLContext:
    """The list of authorities that comes with certifi, for httpx's ``verify``; the environment has no say in it.

    Reading it takes tens of milliseconds: once per process, not once per client.
    """
    import httpx  # at first use: ten MiB that a process without HTTP does not need

    return httpx.create_ssl_context(trust_env=False)


@cache
def authorities_with(file: Path | None) -> ssl.SSLContext:
    """As ``authorities``, and those of the operator's own PEM file where there is one. Raises OSError."""
    if file is None:
        return authorities()
    import httpx

    found = httpx.create_ssl_context(trust_env=False)
    found.load_verify_locations(file)
    return found
