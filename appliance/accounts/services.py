"""People: made, changed, and the languages they read. The only door to accounts for other areas."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from appliance.accounts.announcing import announce
from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import AccountRefused, LastAdmin, NoSuchUser
from appliance.accounts.models import Language, User
from appliance.accounts.principal import Principal
from appliance.accounts.sessions import forget_all


def admin_exists() -> bool:
    """Whether somebody can administer the box."""
    return User.objects.filter(role=Role.ADMIN.value, is_active=True).exists()


def get_user(username: str) -> User:
    """Raises NoSuchUser."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise NoSuchUser(f"there is no user {username!r}", hint="manage.py users list shows them")
    return user


@transaction.atomic
def create_user(
    username: str, password: str, role: Role, by: Principal, *, language: Language = Language.ENGLISH
) -> User:
    """A new person with a password. Raises NotAllowed, AccountRefused."""
    by.require(Ability.MANAGE_USERS)
    user = User(username=User.normalize_username(username.strip()), language=language)
    _apply_role(user, role)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise AccountRefused(" ".join(error.messages)) from error
    _apply_password(user, password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise AccountRefused(f"the name {user.username!r} is taken") from error
    announce(user, "created", by, {"role": role.value})
    return user


@transaction.atomic
def set_password(username: str, password: str, by: Principal) -> User:
    """A new password, by the person or an administrator; every session of that person ends with it.

    Raises NotAllowed, NoSuchUser, AccountRefused.
    """
    user = get_user(username)
    if by.name != user.principal.name:
        by.require(Ability.MANAGE_USERS)
    return replace_password(user, password, by)


def replace_password(user: User, password: str, by: Principal) -> User:
    """As ``set_password``, for a caller who has seen the proof (a one-time link), in its transaction."""
    _apply_password(user, password)
    user.save(update_fields=["password"])
    announce(user, "password", by, {})
    return user


@transaction.atomic
def set_role(username: str, role: Role, by: Principal) -> User:
    """Raises NotAllowed, NoSuchUser, LastAdmin."""
    by.require(Ability.MANAGE_USERS)
    user = get_user(username)
    if role is not Role.ADMIN:
        _keep_an_admin(user)
    _apply_role(user, role)
    user.save(update_fields=["role", "is_staff", "is_superuser"])
    announce(user, "role", by, {"role": role.value})
    return user


@transaction.atomic
def set_active(username: str, active: bool, by: Principal) -> User:
    """Let somebody in again, or keep them out without forgetting them. Raises NotAllowed, NoSuchUser,
    LastAdmin."""
    by.require(Ability.MANAGE_USERS)
    user = get_user(username)
    if not active:
        _keep_an_admin(user)
    user.is_active = active
    user.save(update_fields=["is_active"])
    if not active:
        forget_all(user)  # let in again they log in again, too
    announce(user, "enabled" if active else "disabled", by, {})
    return user


def set_language(user: User, language: Language) -> None:
    """The language of the screens for this person."""
    user.language = language
    user.save(update_fields=["language"])


def _keep_an_admin(user: User) -> None:
    """Two admins who demote each other at once would leave none: the rows are locked before counting."""
    admins = User.objects.select_for_update().filter(role=Role.ADMIN.value, is_active=True).order_by("pk")
    if [admin.pk for admin in admins] == [user.pk]:
        raise LastAdmin(f"{user.username} is the last administrator", hint="make somebody else admin first")


def _apply_role(user: User, role: Role) -> None:
    user.role = role.value
    user.is_staff = role.covers(Role.ENGINEER)
    user.is_superuser = role is Role.ADMIN


def _apply_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise AccountRefused(" ".join(error.messages)) from error
    user.set_password(password)
