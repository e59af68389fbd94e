from django.apps import AppConfig


class RouterConfig(AppConfig):
    name = "workspace.router"
    label = "router"
