from django.apps import AppConfig


class SafetyConfig(AppConfig):
    name = "appliance.safety"
    label = "safety"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Accounts and audit do not know each other; here, above both, they meet."""
        from appliance.accounts import trail
        from appliance.audit.services import append_here

        trail.wire(append_here)
