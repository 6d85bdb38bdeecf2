from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "appliance.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from appliance.runs.hints import send
        from appliance.runs.services import insert_run
        from appliance.tasks.doors import wire

        wire(insert_run, send)
