from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps  # the class itself here would count as a default of ours


class WorkspaceConfig(AppConfig):
    name = "workspace"
    default = True

    def ready(self) -> None:
        import workspace.celery  # noqa: F401 shared tasks find their app


class OnepaneAdmin(admin_apps.AdminConfig):
    """Django's admin on our own site object: who may enter follows from the role."""

    default = False
    default_site = "workspace.admin_site.OnepaneAdminSite"
