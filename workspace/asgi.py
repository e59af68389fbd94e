"""All doors of the server: pages, other programs, the websocket. Static files are answered before Django is asked."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workspace.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

# What follows needs the apps that get_asgi_application() has loaded.
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.urls import path
from servestatic.asgi import ServeStaticASGI

from chat.consumers import WorkspaceConsumer
from workspace.api.handler import ADDRESSES, ApiHandler

pages = ServeStaticASGI(
    django_application, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL, allow_all_origins=False
)
programs = ApiHandler()


async def http(scope: Any, receive: Any, send: Any) -> None:
    await (programs if scope["path"].startswith(ADDRESSES) else pages)(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter([path("ws/", WorkspaceConsumer.as_asgi())]))
        ),
    }
)
