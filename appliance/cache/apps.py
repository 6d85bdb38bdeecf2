from django.apps import AppConfig


class CacheConfig(AppConfig):
    name = "appliance.cache"
    label = "cache"
    default_auto_field = "django.db.models.BigAutoField"
