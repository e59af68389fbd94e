"""Every address of the product."""

from django.contrib import admin
from django.urls import include, path

from chat.documents import document, documents
from workspace.router.usage_pages import own_usage
from workspace.views import health

urlpatterns = [
    path("", include("chat.urls")),
    path("", include("workspace.accounts.urls")),
    path("", include("workspace.api.urls")),
    path("documents/", documents, name="documents"),
    path("documents/<uuid:id>/", document, name="document"),
    path("account/usage/", own_usage, name="usage"),
    path("admin/", admin.site.urls),
    path("health", health, name="health"),
]
