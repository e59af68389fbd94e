"""Every address of chats: their pages, their history, what comes in and goes out, and the small requests."""

from django.urls import path

from chat import freezing, history_pages, history_steps, personas, sharing, uploads, views
from chat.compare import pages
from chat.exchange import link_pages
from chat.exchange import pages as exchange
from chat.replay import pages as replays

urlpatterns = [
    path("", views.chat, name="home"),
    path("c/<uuid:id>/", views.chat, name="chat"),
    path("c/<uuid:id>/place/", views.place, name="chat-place"),
    path("c/<uuid:id>/messages/", views.more, name="chat-messages"),
    path("c/<uuid:id>/history/", history_pages.page, name="chat-history"),
    path("c/<uuid:id>/map/", history_pages.rows, name="chat-map"),
    path("c/<uuid:id>/branch/", history_steps.branch, name="chat-branch"),
    path("c/<uuid:id>/merge/", history_steps.merge, name="chat-merge"),
    path("c/<uuid:id>/fork/", history_steps.fork, name="chat-fork"),
    path("c/<uuid:id>/steps/<uuid:step>/undo/", history_steps.undo, name="chat-undo"),
    path("c/<uuid:id>/go/", history_steps.go, name="chat-go"),
    path("c/<uuid:id>/checkpoints/", history_steps.add_checkpoint, name="chat-checkpoints"),
    path("c/<uuid:id>/checkpoints/<int:checkpoint>/", history_steps.change_checkpoint, name="chat-checkpoint"),
    path("c/<uuid:id>/replay/", replays.replay, name="chat-replay"),
    path("c/<uuid:id>/replays/<uuid:replay>/", replays.report, name="replay-report"),
    path("c/<uuid:id>/export/<slug:form>/", exchange.export, name="chat-export"),
    path("c/<uuid:id>/links/", link_pages.manage, name="chat-links"),
    path("c/<uuid:id>/links/<uuid:link>/revoke/", link_pages.revoke, name="chat-link-revoke"),
    path("s/<str:secret>/", link_pages.read, name="link"),
    path("s/<str:secret>/fork/", link_pages.fork, name="link-fork"),
    path("s/<str:secret>/pictures/<str:picture>", link_pages.picture, name="link-picture"),
    path("import/", exchange.bring, name="import"),
    path("personas/", personas.listed, name="personas"),
    path("personas/<int:persona>/", personas.one, name="persona"),
    path("c/<uuid:id>/freeze/", freezing.freeze, name="chat-freeze"),
    path("c/<uuid:id>/rename/", views.rename, name="chat-rename"),
    path("c/<uuid:id>/delete/", views.delete, name="chat-delete"),
    path("c/<uuid:id>/share/", sharing.share, name="chat-share"),
    path("c/<uuid:id>/comparisons/<uuid:comparison>/vote/", pages.vote, name="comparison-vote"),
    path("c/<uuid:id>/comparisons/<uuid:comparison>/reveal/", pages.reveal, name="comparison-reveal"),
    path("c/<uuid:id>/lanes/<uuid:answer>/thumb/", pages.thumb, name="lane-thumb"),
    path("runs/<uuid:id>/why/", views.why, name="run-why"),
    path("runs/<uuid:id>/manifest.json", views.manifest, name="run-manifest"),
    path("runs/<uuid:id>/answer.md", views.answer_text, name="run-text"),
    path("blobs/", uploads.upload, name="blobs"),
    path("blobs/<str:digest>", uploads.blob, name="blob"),
]
