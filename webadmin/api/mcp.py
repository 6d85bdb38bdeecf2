"""Servers of tools that agents and tasks may call, over HTTP."""

from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.domain import Risk
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.agent.mcp.client.services import detail_of, find_server, list_servers
from webadmin.api.auth import caller

router = Router(tags=["mcp"])


class McpToolOut(Schema):
    tool: str
    state: str
    risk: str
    digest: str
    says: str
    arguments: dict[str, object]
    why: str


class McpServerOut(Schema):
    name: str
    url: str
    command: list[str]
    secret: str
    env: str
    private: bool
    reads: list[str]
    enabled: bool
    looked_at: datetime | None
    problem: str
    tools: list[McpToolOut]


class McpServerIn(Schema):
    url: str = ""
    command: list[str] = []
    secret: Annotated[str, Field(pattern=r"^(secret:.+)?$")] = ""
    env: str = ""
    private: bool = False
    reads: list[str] = []
    enabled: bool = True


class McpAllowIn(Schema):
    risk: Risk
    digest: str


@router.get("/servers", response=list[McpServerOut], summary="Servers of tools, with their tools")
def list_mcp_servers(request: HttpRequest) -> list[McpServerOut]:
    caller(request, Ability.VIEW)
    return [McpServerOut.model_validate(detail_of(row)) for row in list_servers()]


@router.put("/servers/{name}", response=McpServerOut, summary="Add a server of tools, or change it")
def put_mcp_server(request: HttpRequest, name: str, body: McpServerIn) -> McpServerOut:
    who = caller(request, Ability.MANAGE_BOX)
    said = {**body.model_dump(), "command": tuple(body.command), "reads": tuple(body.reads)}
    services.save_server(ServerSpec(name=name, **said), who.principal, datetime.now(UTC))
    return _out(name)


@router.post(
    "/servers/{name}/look", response=McpServerOut, summary="Read what a server offers; nothing is called"
)
def look_at_mcp_server(request: HttpRequest, name: str) -> McpServerOut:
    who = caller(request, Ability.MANAGE_BOX)
    services.look(name, who.principal, datetime.now(UTC))
    return _out(name)


@router.put("/servers/{name}/tools/{tool}", response=McpServerOut, summary="Allow a tool, as it was read")
def allow_mcp_tool(request: HttpRequest, name: str, tool: str, body: McpAllowIn) -> McpServerOut:
    who = caller(request, Ability.MANAGE_BOX)
    services.allow_tool(name, tool, body.risk, body.digest, who.principal, datetime.now(UTC))
    return _out(name)


@router.delete(
    "/servers/{name}/tools/{tool}", response=McpServerOut, summary="Let nothing call a tool any more"
)
def close_mcp_tool(request: HttpRequest, name: str, tool: str) -> McpServerOut:
    services.close_tool(name, tool, caller(request, Ability.MANAGE_BOX).principal)
    return _out(name)


@router.delete("/servers/{name}", response={204: None}, summary="Forget a server and its tools")
def delete_mcp_server(request: HttpRequest, name: str) -> None:
    services.remove_server(name, caller(request, Ability.MANAGE_BOX).principal)


def _out(name: str) -> McpServerOut:
    return McpServerOut.model_validate(detail_of(find_server(name)))
