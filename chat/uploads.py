"""Attached images: checked by their content, stored once by digest, shown to whoever may see them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from chat import access
from chat.authority import READS_ONLY
from chat.models import Attachment, Blob
from workspace import blobs
from workspace.accounts.rights import may_chat, person_of
from workspace.pictures import FORMATS, ImageRefused, picture_of


def takes_a_file(view: Callable[[HttpRequest, UploadedFile], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A view that is given the file of a form by somebody who may write; all others are told why not."""

    @login_required
    @require_POST
    @wraps(view)
    def taking(request: HttpRequest) -> HttpResponse:
        if not may_chat(person_of(request)):
            return refuse(*READS_ONLY, 403)
        file = request.FILES.get("file")
        return refuse("No file came.", "Choose one.") if file is None else view(request, file)

    return taking


def refuse(cause: str, action: str, status: int = 400) -> JsonResponse:
    return JsonResponse({"cause": cause, "action": action}, status=status)


@takes_a_file
def upload(request: HttpRequest, file: UploadedFile) -> HttpResponse:
    if (file.size or 0) > settings.MAX_UPLOAD:
        return refuse(f"The image is over {settings.MAX_UPLOAD // 1_000_000} MB.", "Make it smaller.", 413)
    data = file.read()
    try:
        picture = picture_of(data)
    except ImageRefused as refused:
        return refuse(refused.cause, refused.action)
    with transaction.atomic():
        blob, _ = Blob.objects.get_or_create(
            digest=blobs.keep(data),
            defaults={
                "media_type": picture.media_type,
                "size": len(data),
                "width": picture.width,
                "height": picture.height,
            },
        )
        Attachment.objects.get_or_create(
            blob=blob, person=person_of(request), defaults={"name": (file.name or "")[:255]}
        )
    url = reverse("blob", args=[blob.digest])
    return JsonResponse(
        {"digest": blob.digest, "url": url, "name": file.name, "width": blob.width, "height": blob.height}
    )


@login_required
@require_safe
def blob(request: HttpRequest, digest: str) -> FileResponse:
    found = access.blob_for(person_of(request), digest)
    response = FileResponse(blobs.path_of(digest).open("rb"), content_type=found.media_type)
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = "inline" if found.media_type in FORMATS.values() else "attachment"
    return response
