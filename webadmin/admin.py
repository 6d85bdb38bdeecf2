"""``/admin/``: raw rows for engineers, to look at and never to change: changes go through services."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.db.models.expressions import OrderBy, RawSQL
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from appliance.accounts.models import ApiToken, User
from appliance.audit.models import AuditRecord
from appliance.bridges.models import ChatIdentity, Inbound, Platform
from appliance.bus.models import Broker, SetAside, TopicValue
from appliance.devices.models import Device
from appliance.events.models import EventRow
from appliance.outbox.models import OutboxRow
from appliance.processes.models import PartBeat
from appliance.runs.models import Run
from appliance.tasks.models import NotTriggered, Occurrence, Task, TaskTrigger, TaskVersion

MOST_COUNTED = 5000

# The raw rows have no log-in of their own: it would skip the second step.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class Counted(Paginator):  # type: ignore[type-arg]  # generic for the type checker only
    """Counts no further than people turn pages: a month of rows would be read for a number at the bottom."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]  # the admin pages querysets only
        return rows.order_by().values("pk")[:MOST_COUNTED].count()


class ReadOnly(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Rows as they are. Counting a partitioned table of millions is what makes such pages slow: it is not done."""

    paginator = Counted

    show_full_result_count = False
    list_per_page = 50
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A filter in the address on what is hidden would tell it letter by letter."""
        hidden = lookup.partition("__")[0] in (self.exclude or ())
        return not hidden and bool(super().lookup_allowed(lookup, value, request))


def _show(
    model: type[Model],
    *columns: str,
    search: tuple[str, ...] = (),
    hide: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    ordering: tuple[Any, ...] = (),
) -> None:
    options: dict[str, Any] = {
        "list_display": columns,
        "search_fields": search,
        "exclude": hide or None,
        "readonly_fields": more,
    }
    if ordering:
        options["ordering"] = ordering
    admin.site.register(model, type(f"{model.__name__}Admin", (ReadOnly,), options))


admin.site.site_header = "Millwright"
admin.site.site_title = "Millwright"
# What the libraries registered for themselves, writable and whole: keys of sessions that are under way, second factors,
# schedules that start anything. This app is the last one, so that all of it is here by now.
for foreign in list(admin.site._registry):
    admin.site.unregister(foreign)
_show(User, "username", "role", "is_active", "last_login", search=("username",), hide=("password",))
_show(
    ApiToken,
    "user",
    "name",
    "issued_by",
    "scopes",
    "last_used_at",
    "expires_at",
    "revoked_at",
    hide=("digest",),
)
_show(Task, "name", "enabled", "source", search=("name",))
_show(TaskVersion, "task", "number", "created_by", "created_at")
_show(TaskTrigger, "task", "trigger", "kind", "active", "next_due", "fired", "refused", "failed")
_show(NotTriggered, "task", "trigger", "at", "reason")
_show(Occurrence, "id", "task_id", "trigger", "due_at", "state", "run_id")
_show(Run, "id", "task_id", "state", "waiting_for", "origin", "created_at", "finished_at")
_show(OutboxRow, "id", "platform", "state", "attempts", "reason", "created_at")
_show(Inbound, "bridge", "event_id", "state", "attempts", "received_at")
_show(Platform, "name", "kind", "enabled", "health_at")
_show(ChatIdentity, "platform", "user_id", "display_name", "person", "last_seen")
_show(Device, "name", "created_at", "revoked_at", hide=("password_hash",))
_show(Broker, "name", "url", "enabled", "updated_at", "updated_by", hide=("password",))
_show(TopicValue, "topic", "quality", "at", "count", search=("topic",), hide=("payload",))
_show(
    SetAside, "at", "broker", "topic", "size", "reason", search=("topic",), hide=("payload",), more=("text",)
)
# The journal's own order: the one that it has an index for.
_JOURNAL = (OrderBy(RawSQL("xact", ()), descending=True), "-seq")
_show(EventRow, "seq", "at", "type", "subject", ordering=_JOURNAL)
_show(AuditRecord, "seq", "at", "kind", "principal", "subject", hide=("prev_hash", "hash"))
_show(PartBeat, "part", "at", "healthy")
