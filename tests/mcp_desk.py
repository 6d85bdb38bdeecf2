"""What tests of /mcp share: tasks that are tools, people with tokens, the official client and a raw one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.accounts.tokens import issue_api_token
from appliance.tasks.services import apply_text
from tests.visitor import PASSWORD

TASKS = """
- name: say
  description: Says a word
  triggers: [{id: called, mcp: {tool: say, wait: 20s}}]
  vars: {word: hello, loud: false, often: 1}
  actions: [{id: said, type: set, value: "{{ vars.word }}!"}]
- name: restart
  triggers: [{id: called, mcp: {tool: restart_pump, description: Restarts the pump, wait: 1s}}]
  vars: {pump: "3"}
  actions:
    - {id: sure, type: approval, question: "Restart pump {{ vars.pump }}?"}
    - {id: done, type: set, value: restarted}
- name: slow
  triggers: [{id: called, mcp: {tool: slow, wait: 60s}}]
  actions: [{id: nap, type: wait, duration: 1h}]
- name: tell
  triggers: [{id: called, mcp: {tool: tell, wait: 10s}}]
  actions: [{id: out, type: mqtt, topic: told, payload: x}]
"""
SCOPES = [Ability.VIEW, Ability.RUN_TASKS, Ability.CANCEL_RUNS]
MODERN = "2026-07-28"


def now() -> datetime:
    return datetime.now(UTC)


def furnish() -> User:
    """Its tasks, and Ann."""
    apply_text(TASKS, "tools.yaml", BOX, now())
    return create_user("ann", PASSWORD, Role.ENGINEER, BOX)


def token_for(user: User, name: str = "bot", scopes: list[Ability] | None = None) -> str:
    return issue_api_token(user, name, scopes or SCOPES, BOX, now())


@asynccontextmanager
async def official(place: str, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    """``auto``: the version in which each request stands alone; ``legacy``: the one with a session."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(
            streamable_http_client(f"http://{place}/mcp", http_client=http), mode=mode, cache=None
        ) as client,
    ):
        yield client


class Wire:
    """The protocol by hand, as its specification says: JSON-RPC in the body of a POST."""

    def __init__(self, place: str, token: str = "", version: str = "2025-11-25", **headers: str) -> None:
        self.version, self.session, self._number = version, "", 0
        self._headers = {"Accept": "application/json, text/event-stream", **headers}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self.http = httpx.Client(base_url=f"http://{place}", timeout=30)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *given: Any) -> None:
        self.http.close()

    def headers(self, **more: str) -> dict[str, str]:
        found = {**self._headers, **more}
        if self.session:
            found |= {"Mcp-Session-Id": self.session, "Mcp-Protocol-Version": self.version}
        return found

    def post(self, message: Any, **more: str) -> httpx.Response:
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.http.post(
            "/mcp", content=content, headers=self.headers(**{"Content-Type": "application/json", **more})
        )

    def ask(self, method: str, params: dict[str, Any] | None = None, **more: str) -> httpx.Response:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        return self.post(message, **more)

    def begin(self) -> httpx.Response:
        """The handshake."""
        about = {"name": "raw", "version": "1"}
        answer = self.ask(
            "initialize", {"protocolVersion": self.version, "capabilities": {}, "clientInfo": about}
        )
        if answer.status_code == 200:
            self.session = answer.headers["mcp-session-id"]
            assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        return answer

    def alone(self, method: str, params: dict[str, Any] | None = None, **more: str) -> httpx.Response:
        """A request of the version in which each stands alone."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        given = params or {}
        said = {**given, "_meta": {**meta, **given.get("_meta", {})}}
        told = {"Mcp-Protocol-Version": MODERN, "Mcp-Method": method}
        if "name" in given:
            told["Mcp-Name"] = given["name"]
        return self.ask(method, said, **{**told, **more})


def read(answer: httpx.Response) -> dict[str, Any]:
    """The response in an answer, whichever of the two forms it has."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ") and line[6:]]
        found: dict[str, Any] = json.loads(data[-1])
        return found
    return answer.json()  # type: ignore[no-any-return]
