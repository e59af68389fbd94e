"""The end of every way in that is ours (a sign-in link, an invitation): the same last steps as with a password.

A link stands for the password alone: who has a second step is asked for it all the same.
"""

from __future__ import annotations

import time

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.http import HttpRequest, HttpResponse

from workspace.accounts.models import Person

LINK = "link"


def enter(request: HttpRequest, person: Person, *, to: str = "/") -> HttpResponse:
    """Sign somebody in who came by a link. Whoever was signed in on this browser is signed out first."""
    if request.user.is_authenticated:
        get_adapter(request).logout(request)
    record_authentication(request, person, LINK, reauthenticated=True)
    response: HttpResponse = perform_login(request, person, redirect_url=to)
    return response


def came_by_link(request: HttpRequest) -> bool:
    """Within the time in which a password, too, need not be typed again."""
    since = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    records = get_authentication_records(request, request.user)
    return any(record["method"] == LINK and record["at"] > since for record in records)
