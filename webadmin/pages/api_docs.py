"""The API's own documentation page, from its OpenAPI document; works offline and without scripts."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts.domain import Ability
from webadmin.api.v1 import api
from webadmin.pages.access import needs


@needs(Ability.VIEW)
def docs(request: HttpRequest) -> HttpResponse:
    schema: dict[str, Any] = api.get_openapi_schema()
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = schema.get("components", {}).get("schemas", {})
    context = {"schema": schema, "operations": operations, "shapes": sorted(shapes.items())}
    return render(request, "api.html", context)
