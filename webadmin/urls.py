"""Every address of the box."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

from webadmin import health, hooks, platform_hooks
from webadmin.api.v1 import api
from webadmin.pages import (
    accounts,
    api_docs,
    audit,
    brokers,
    bus,
    chat,
    devices,
    editor,
    overview,
    password_link,
    platforms,
    runs,
    security,
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
    path("login/", accounts.LogIn.as_view(), name="account_login"),
    path("login/code/", accounts.Code.as_view(), name="mfa_authenticate"),
    path("logout/", accounts.LogOut.as_view(), name="account_logout"),
    path("setup/<str:token>/", setup.setup, name="setup"),
    path("password/<str:who>/<str:token>/", password_link.choose, name="password-link"),
    path("account/", security.Security.as_view(), name="mfa_index"),
    path("account/confirm/", security.Confirm.as_view(), name="account_reauthenticate"),
    path("account/confirm/code/", security.ConfirmByCode.as_view(), name="mfa_reauthenticate"),
    path("account/password/", security.OwnPassword.as_view(), name="account_change_password"),
    path("account/two-step/on/", security.TwoStepOn.as_view(), name="mfa_activate_totp"),
    path("account/two-step/off/", security.TwoStepOff.as_view(), name="mfa_deactivate_totp"),
    path("account/recovery-codes/", security.RecoveryCodes.as_view(), name="mfa_view_recovery_codes"),
    path(
        "account/recovery-codes/new/", security.NewRecoveryCodes.as_view(), name="mfa_generate_recovery_codes"
    ),
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
    path("chat/", chat.chat, name="chat"),
    path("chat/write/", chat.write, name="chat-write"),
    path("bus/", bus.bus, name="bus"),
    path("bus/publish/", bus.publish, name="bus-publish"),
    path("bus/brokers/", brokers.brokers, name="bus-brokers"),
    path("bus/brokers/add/", brokers.add, name="bus-broker-add"),
    path("bus/brokers/<str:name>/", brokers.edit, name="bus-broker"),
    path("bus/brokers/<str:name>/test/", brokers.test, name="bus-broker-test"),
    path("bus/brokers/<str:name>/switch/", brokers.switch, name="bus-broker-switch"),
    path("bus/brokers/<str:name>/remove/", brokers.remove, name="bus-broker-remove"),
    path("devices/", devices.devices, name="devices"),
    path("devices/add/", devices.add, name="device-add"),
    path("devices/<str:name>/commands/", devices.commands, name="device-commands"),
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
    path("language/", accounts.choose_language, name="set_language"),
    path("api/v1/docs", api_docs.docs, name="api-docs"),
    path("api/v1/", api.urls),
    # Django's own pages for both would let somebody in without the second step, and leave no record.
    path("admin/login/", secure_admin_login(admin.site.login)),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    re_path(r"^(?P<path>.*)$", platform_hooks.anything_else, name="anything-else"),
]

handler500 = "webadmin.away.server_error"
