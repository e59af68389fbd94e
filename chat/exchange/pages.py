"""The pages through which chats come in and go out as files."""

from __future__ import annotations

import base64
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_safe

from chat import access, tree
from chat.exchange import outgoing, paper, story
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Unreadable
from chat.exchange.reading import conversations
from chat.exchange.story import Said
from chat.models import Blob, Chat
from chat.rendering import render as render_markdown
from chat.views import index
from workspace import blobs
from workspace.accounts.rights import may_chat, person_of

TYPES = {
    "md": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "jsonl": "application/jsonl",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def bring(request: HttpRequest) -> HttpResponse:
    """Chats of another program, or of another Onepane. POST takes a ``file``."""
    person = person_of(request)
    if not may_chat(person):
        raise PermissionDenied
    context = {**index(request), "most": settings.MAX_IMPORT // 1_000_000}
    file = request.FILES.get("file")
    if request.method == "POST":
        try:
            if file is None or file.file is None:
                raise Unreadable("No file came.", "Choose one.")
            if (file.size or 0) > settings.MAX_IMPORT:
                raise Unreadable(f"The file is over {context['most']} MB.", "Export fewer chats at a time.")
            with conversations(file.file, settings.MAX_IMPORT) as found:
                done = bring_in(person, found.chats, name=file.name or "")
        except Unreadable as refused:
            context["refused"] = refused
            return render(request, "chat/import.html", context, status=400)
        context = {**index(request), "most": context["most"], "done": done, "left_out": found.left_out}
    return render(request, "chat/import.html", context)


@login_required
@require_safe
def export(request: HttpRequest, id: UUID, form: str) -> HttpResponse:
    """The branch that leads to ``message``, or to where the person stands, to be read; ``jsonl`` is the whole chat, or
    with ``branch`` that one."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    wanted = request.GET.get("message")
    tip = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    if form not in TYPES:
        raise Http404
    if form == "jsonl":
        path = tree.whole_path(tip) if "branch" in request.GET else None
        return _file(chat, form, outgoing.file_of(chat, person, path))
    said = story.told(tree.whole_path(tip))
    if form == "md":
        return _file(chat, form, story.markdown(str(chat), said).encode())
    if form == "html":
        return _file(chat, form, page_of(chat, said).encode())
    try:
        return _file(chat, form, paper.pdf(str(chat), said))
    except paper.NoPaper as why:
        return HttpResponse(str(why), status=400, content_type="text/plain; charset=utf-8")


def page_of(chat: Chat, said: list[Said]) -> str:
    """One file that needs nothing beside it: pictures are in it."""
    digests = {image["digest"] for one in said for image in one.images}
    pictures = {
        blob.digest: f"data:{blob.media_type};base64,"
        + base64.b64encode(blobs.path_of(blob.digest).read_bytes()).decode()
        for blob in Blob.objects.filter(digest__in=digests)
    }
    return render_to_string("chat/export.html", {"chat": chat, "said": shown(said, pictures)})


def shown(said: list[Said], pictures: dict[str, str]) -> list[dict[str, object]]:
    """Messages as a template reads them: answers rendered, pictures by their addresses."""
    return [
        {
            "said": one,
            "html": "" if one.asked else render_markdown(one.text, issued={p["number"] for p in one.passages}),
            "pictures": [pictures[i["digest"]] for i in one.images if i["digest"] in pictures],
        }
        for one in said
    ]


def _file(chat: Chat, form: str, data: bytes) -> HttpResponse:
    response = HttpResponse(data, content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="chat-{chat.created:%Y-%m-%d}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
