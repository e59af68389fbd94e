"""Is the server there."""

from django.http import HttpRequest, HttpResponse


def health(request: HttpRequest) -> HttpResponse:
    """200 once requests are taken. It says nothing of models: those come and go while the server stays."""
    return HttpResponse("ok\n", content_type="text/plain")
