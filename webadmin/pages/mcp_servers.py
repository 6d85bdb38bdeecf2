"""Servers of tools: added, looked at, each tool allowed with what it does, removed."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.agent.domain import Risk
from appliance.agent.errors import McpRefused
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec, ToolState
from appliance.agent.models import McpServer, McpTool
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.safety.errors import SecretMissing
from appliance.safety.secrets import is_reference
from webadmin.pages.access import needs, person
from webadmin.pages.mcp_advice import Problem, inside, lies_inside, no_secret, problem_of, tick, without_flags

PLAIN = {"autocapitalize": "none", "spellcheck": "false"}
RISKS = (
    (Risk.READ.value, gettext_lazy("only reads")),
    (Risk.CHANGE.value, gettext_lazy("changes something")),
    (Risk.DESTROY.value, gettext_lazy("may destroy something")),
)


class McpServerForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=32,
        help_text=gettext_lazy("Agents call its tools mcp.NAME.TOOL."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "shop"}),
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "https://tools.example/mcp"}),
    )
    private = forms.BooleanField(label=gettext_lazy("It lies in the plant's own network"), required=False)
    command = forms.CharField(
        label=gettext_lazy("Or a command"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("Run confined for each call, and ended after it."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "/usr/bin/stock-tools --stdio"}),
    )
    reads = forms.CharField(
        label=gettext_lazy("What the command may read"),
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "/srv/stock"}),
    )
    token = forms.CharField(
        label=gettext_lazy("Token"),
        required=False,
        max_length=4000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy(
            "Kept as a secret. Or name one: secret:NAME. Leave it empty to keep what is stored."
        ),
    )
    env = forms.CharField(
        label=gettext_lazy("Variable for the token"),
        required=False,
        max_length=60,
        help_text=gettext_lazy("Of a command only."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "STOCK_TOKEN"}),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False, initial=True)


@dataclass(frozen=True, slots=True)
class ToolView:
    row: McpTool
    state: ToolState

    @property
    def unusable(self) -> str:
        return services.unusable(self.row) if self.state is ToolState.UNUSABLE else ""

    @property
    def arguments(self) -> list[tuple[str, str]]:
        """Each by name, with what its server says of it."""
        properties = self.row.schema.get("properties", {})
        return [(name, str(one.get("description", ""))) for name, one in properties.items()]


@dataclass(frozen=True, slots=True)
class ServerView:
    row: McpServer
    place: str
    tools: list[ToolView]
    problem: Problem | None

    @property
    def changed(self) -> int:
        return sum(one.state is ToolState.CHANGED for one in self.tools)


@needs(Ability.VIEW)
def servers(request: HttpRequest) -> HttpResponse:
    return _page(request, McpServerForm())


@sensitive_post_parameters("token")
@require_POST
@needs(Ability.MANAGE_BOX)
def save(request: HttpRequest) -> HttpResponse:
    form = McpServerForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    said = form.cleaned_data
    try:
        if lies_inside(said["url"]) and not said["private"]:
            form.add_error("private", f"{inside()} {tick()}")
            return _page(request, form, status=422)
        services.save_server(
            _spec(said), person(request).principal, datetime.now(UTC), secret=_typed(said["token"])
        )
    except SecretMissing as error:
        form.add_error(None, no_secret(error))
        return _page(request, form, status=422)
    except (MillwrightError, ValueError) as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    messages.success(request, _saved(said["name"]))
    return redirect("mcp-servers")


def _saved(name: str) -> str:
    """What comes next: nothing, where what was allowed is allowed still."""
    if any(services.state_of(tool) is ToolState.OPEN for tool in services.find_server(name).tools.all()):
        return _("Saved. What was allowed of it stays allowed.")
    return _("Saved. Look at it now: none of its tools can be called before.")


@require_POST
@needs(Ability.MANAGE_BOX)
def look(request: HttpRequest, name: str) -> HttpResponse:
    try:
        found = services.look(name, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, without_flags(str(error)))
    else:
        count = sum(not one.gone for one in found)
        messages.success(request, _("%(name)s offers %(count)d tools.") % {"name": name, "count": count})
    return redirect("mcp-servers")


@require_POST
@needs(Ability.MANAGE_BOX)
def allow(request: HttpRequest, name: str, tool: int) -> HttpResponse:
    """The tool by its number: its name may hold a slash."""
    by, now = person(request).principal, datetime.now(UTC)
    try:
        called = _called(name, tool)
        if request.POST.get("risk") == "close":
            services.close_tool(name, called, by)
            said = _("%(tool)s is closed.")
        else:
            risk, digest = Risk(request.POST.get("risk", "")), request.POST.get("digest", "")
            services.allow_tool(name, called, risk, digest, by, now)
            said = _("%(tool)s may be called.")
        messages.success(request, said % {"tool": f"mcp.{name}.{called}"})
    except (MillwrightError, ValueError) as error:
        messages.error(request, str(error))
    return redirect("mcp-servers")


@require_POST
@needs(Ability.MANAGE_BOX)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    try:
        services.remove_server(name, person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(name)s is removed, with its tools.") % {"name": name})
    return redirect("mcp-servers")


def _called(server: str, number: int) -> str:
    row = McpTool.objects.filter(server_id=server, pk=number).first()
    if row is None:
        raise McpRefused(_("There is no such tool."))
    return row.name


def _spec(said: dict[str, Any]) -> ServerSpec:
    """As it is typed; the token that is stored stays where none was. Raises ValueError."""
    known = McpServer.objects.filter(name=said["name"]).first()
    stored = known.secret if known is not None else ""
    return ServerSpec(
        said["name"],
        said["url"],
        tuple(shlex.split(said["command"])),
        said["token"] if is_reference(said["token"]) else stored,
        said["env"],
        said["private"],
        tuple(said["reads"].split()),
        said["enabled"],
    )


def _typed(token: str) -> str:
    return "" if is_reference(token) else token


def _page(request: HttpRequest, form: McpServerForm, status: int = 200) -> HttpResponse:
    views = [
        ServerView(
            row,
            services.spec_of(row).place,
            [ToolView(tool, services.state_of(tool)) for tool in row.tools.all()],
            problem_of(row.problem, services.spec_of(row)),
        )
        for row in services.list_servers()
    ]
    context = {
        "cursor": current_cursor(),
        "servers": views,
        "form": form,
        "risks": RISKS,
        "may_manage": person(request).can(Ability.MANAGE_BOX),
    }
    return render(request, "agents/mcp.html", context, status=status)
