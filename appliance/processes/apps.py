from django.apps import AppConfig
from django.core.checks import Tags, register


class ProcessesConfig(AppConfig):
    name = "appliance.processes"
    label = "processes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from appliance.processes.encoding import check

        register(check, Tags.database)
