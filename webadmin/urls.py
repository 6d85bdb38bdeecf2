"""Every address of the box."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import path, re_path

from webadmin import health, hooks, platform_hooks
from webadmin.api.v1 import api
from webadmin.pages import (
    accounts,
    api_docs,
    audit,
    bus,
    chat,
    devices,
    editor,
    manual,
    outbox,
    overview,
    platforms,
    runs,
    setup,
    simulator,
    stop,
    tasks,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("login/", accounts.LogIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("setup/<str:token>/", setup.setup, name="setup"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/new/", editor.edit, name="task-new"),
    path("tasks/validate/", editor.validate, name="task-validate"),
    path("tasks/<str:name>/", tasks.task_page, name="task"),
    path("tasks/<str:name>/edit/", editor.edit, name="task-edit"),
    path("tasks/<str:name>/versions/<int:number>/", editor.version_page, name="task-version"),
    path("tasks/<str:name>/switch/", tasks.switch, name="task-switch"),
    path("tasks/<str:name>/start/", tasks.start, name="task-start"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/<uuid:run_id>/", runs.run_page, name="run"),
    path("runs/<uuid:run_id>/act/", runs.act, name="run-act"),
    path("outbox/", outbox.outbox, name="outbox"),
    path("outbox/<uuid:item_id>/act/", outbox.act, name="outbox-act"),
    path("chat/", chat.chat, name="chat"),
    path("chat/write/", chat.write, name="chat-write"),
    path("bus/", bus.bus, name="bus"),
    path("bus/publish/", bus.publish, name="bus-publish"),
    path("devices/", devices.devices, name="devices"),
    path("devices/add/", devices.add, name="device-add"),
    path("devices/<str:name>/revoke/", devices.revoke, name="device-revoke"),
    path("platforms/", platforms.platforms, name="platforms"),
    path("platforms/telegram/", platforms.save_telegram, name="platform-telegram"),
    path("platforms/<str:name>/test/", platforms.test, name="platform-test"),
    path("platforms/<str:name>/switch/", platforms.switch, name="platform-switch"),
    path("platforms/identities/<int:identity_id>/", platforms.link, name="identity-link"),
    path("audit/", audit.audit, name="audit"),
    path("audit/verify/", audit.verify, name="audit-verify"),
    path("simulator/", simulator.simulator, name="simulator"),
    path("stop/", stop.stop, name="stop"),
    path("stop/release/", stop.let_go, name="stop-release"),
    path("hooks/<slug:name>", hooks.receive, name="hook"),
    path("docs/", manual.start, name="docs"),
    path("docs/search/", manual.look_up, name="docs-search"),
    path("docs/<path:address>", manual.page, name="docs-page"),
    path("language/", accounts.choose_language, name="set_language"),
    path("api/v1/docs", api_docs.docs, name="api-docs"),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    re_path(r"^(?P<path>.*)$", platform_hooks.anything_else, name="anything-else"),
]

handler500 = "webadmin.away.server_error"
