from django.urls import path

from chat import sharing, uploads, views

urlpatterns = [
    path("", views.chat, name="home"),
    path("c/<uuid:id>/", views.chat, name="chat"),
    path("c/<uuid:id>/place/", views.place, name="chat-place"),
    path("c/<uuid:id>/rename/", views.rename, name="chat-rename"),
    path("c/<uuid:id>/delete/", views.delete, name="chat-delete"),
    path("c/<uuid:id>/share/", sharing.share, name="chat-share"),
    path("runs/<uuid:id>/why/", views.why, name="run-why"),
    path("runs/<uuid:id>/manifest.json", views.manifest, name="run-manifest"),
    path("runs/<uuid:id>/answer.md", views.answer_text, name="run-text"),
    path("blobs/", uploads.upload, name="blobs"),
    path("blobs/<str:digest>", uploads.blob, name="blob"),
]
