"""Who may see a page: signed in, with the ability that the page asks for."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from appliance.accounts.domain import Ability
from appliance.accounts.models import User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def needs(ability: Ability) -> Callable[[View], View]:
    """Signed in, and able; else the log-in page, or 403."""
    return _guard(lambda one: one.can(ability))


def needs_somewhere(ability: Ability) -> Callable[[View], View]:
    """As ``needs``, also for whoever is able on some tasks or topics only: the view's service asks about the very
    one, and its NotAllowed is 403 or a message."""
    return _guard(lambda one: one.can_somewhere(ability))


def _guard(may: Callable[[User], bool]) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(person(request)):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return cast(View, guarded)

    return decorate


def person(request: HttpRequest) -> User:
    """The signed-in person of a guarded view."""
    return cast(User, request.user)
