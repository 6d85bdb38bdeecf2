"""The API's own documentation page, from its OpenAPI document; works offline and without scripts."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts.domain import Ability
from webadmin.api.v1 import api
from webadmin.pages.access import needs
from webadmin.pages.api_shapes import operations, shapes


@needs(Ability.VIEW)
def docs(request: HttpRequest) -> HttpResponse:
    document = api.get_openapi_schema()
    context = {"operations": operations(document), "shapes": shapes(document)}
    return render(request, "api/page.html", context)
