from django.urls import path, re_path

from workspace.api import pages, views

urlpatterns = [
    path("v1/chat/completions", views.chat_completions, name="chat-completions"),
    path("v1/models", views.models, name="models"),
    path("v1/models/<path:name>", views.model, name="model"),
    path("api/generate", views.generate, name="generate"),
    re_path(r"^(v1|api)/", views.nothing_here),
    path("account/tokens/", pages.tokens, name="tokens"),
    path("account/tokens/<uuid:id>/revoke/", pages.revoke, name="revoke-token"),
]
