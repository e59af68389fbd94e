"""What the editor of the router's file asks for while somebody writes: problems by line, the schema, a stored file.

The help beside it is made from the tables that the language itself is read by, so it can't tell of what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from workspace.providers.models import LanguageModel
from workspace.router.conditions import FUNCTIONS
from workspace.router.configuration import ANY, MAX_FILE, ConfigurationError, parse
from workspace.router.facts import FACTS, LOOKUPS
from workspace.router.models import RouterConfiguration
from workspace.router.schema import FILE_EXAMPLES, ROUTE_EXAMPLES, schema

FILE_NAME = "model_router.json"
PAGE = "router_routerconfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One word of the file: what it is called, what it means, and what is written when it is chosen."""

    name: str
    kind: str
    meaning: str
    insert: str


def urls(model_admin: ModelAdmin[RouterConfiguration]) -> list[URLPattern]:
    """Below the list of configurations, but for a stored version's file, which stands below its own."""

    def file(request: HttpRequest, id: int, number: int) -> HttpResponse:
        return _file(model_admin, request, id, number)

    view = model_admin.admin_site.admin_view
    return [
        path("check/", view(require_POST(check)), name=f"{PAGE}_check"),
        path("schema.json", view(require_safe(schema_file)), name=f"{PAGE}_schema"),
        path(f"<int:id>/<int:number>/{FILE_NAME}", view(require_safe(file)), name=f"{PAGE}_file"),
    ]


def check(request: HttpRequest) -> JsonResponse:
    """Every problem of a source with its line and column, as saving it would tell."""
    source = request.POST.get("source", "").replace("\r\n", "\n")
    try:
        read = parse(source, models=model_names())
    except ConfigurationError as error:
        problems = [{"line": one.line, "column": one.column, "message": one.message} for one in error.problems]
        return JsonResponse({"problems": problems, "routes": []})
    return JsonResponse({"problems": [], "routes": [route.name for route in read.routes]})


def schema_file(request: HttpRequest) -> JsonResponse:
    """The JSON Schema of the file, with the models that are there now."""
    return JsonResponse(schema(model_names()), json_dumps_params={"ensure_ascii": False, "indent": 2})


def _file(model_admin: ModelAdmin[RouterConfiguration], request: HttpRequest, id: int, number: int) -> HttpResponse:
    """A stored version to the character, comments included."""
    configuration = model_admin.get_object(request, str(id))
    version = configuration.versions.filter(number=number).first() if configuration else None
    if version is None:
        raise Http404
    response = HttpResponse(version.source, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{FILE_NAME}"'
    response["ETag"] = f'"{version.digest}"'
    return response


def read_upload(data: bytes) -> str:
    """The text of a file somebody brings. Raises ValueError with what to do, in words."""
    if len(data) > 4 * MAX_FILE:
        raise ValueError(f"The file is longer than {MAX_FILE:,} characters. Is it a model_router.json?")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ValueError("The file is no UTF-8 text. Save it as UTF-8 and bring it again.") from None


def guide() -> dict[str, list[Entry]]:
    """The words of the file, by the part of it they stand in."""
    models = sorted(model_names())
    model = models[0] if models else ANY
    known = schema(models)["properties"]
    route = known["routes"]["items"]["properties"]
    return {
        "Facts": [Entry(name=n, kind=f.kind, meaning=f.meaning, insert=f.example) for n, f in FACTS.items()],
        "Of a model": [
            Entry(name=f'{n}("…")', kind=f.kind, meaning=f.meaning, insert=f.example.format(model=model))
            for n, f in LOOKUPS.items()
        ],
        "Functions": [
            Entry(name=f"{n}()", kind=f.gives, meaning=f.meaning, insert=f.example) for n, f in FUNCTIONS.items()
        ],
        "Keys of a route": [_key(name, route[name], example) for name, example in ROUTE_EXAMPLES.items()],
        "Keys of the file": [_key(name, known[name], example) for name, example in FILE_EXAMPLES.items()],
        "Models": [Entry(name=n, kind="model", meaning="", insert=f'"{n}"') for n in (*models, ANY)],
    }


def model_names() -> set[str]:
    return set(LanguageModel.objects.values_list("name", flat=True))


def _key(name: str, described: dict[str, Any], example: str) -> Entry:
    meaning = described.get("description", "").partition("\n")[0]
    return Entry(name=name, kind=described.get("type", "name"), meaning=meaning, insert=f'"{name}": {example}')
