from django.apps import AppConfig


class BusConfig(AppConfig):
    name = "appliance.bus"
    label = "bus"
    default_auto_field = "django.db.models.BigAutoField"
