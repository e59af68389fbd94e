"""Every address of the product."""

from django.contrib import admin
from django.urls import include, path

from chat import attaching, documents, measures, reports, search_pages, suites
from chat.compare import pages
from workspace.router.usage_pages import own_usage
from workspace.views import health

urlpatterns = [
    path("", include("chat.urls")),
    path("", include("workspace.accounts.urls")),
    path("", include("workspace.api.urls")),
    path("documents/", documents.documents, name="documents"),
    path("documents/add/", documents.add, name="documents-add"),
    path("documents/collections/", documents.add_collection, name="collections"),
    path("documents/attach/", attaching.attach, name="attach"),
    path("documents/<uuid:id>/state/", attaching.state, name="document-state"),
    path("documents/search/", search_pages.page, name="search-try"),
    path("documents/search/label/", search_pages.label, name="search-label"),
    path("documents/collections/<uuid:id>/test/", search_pages.test, name="collection-test"),
    path("documents/collections/<uuid:id>/", documents.change_collection, name="collection"),
    path("documents/<uuid:id>/", documents.document, name="document"),
    path("documents/<uuid:id>/file/", documents.file, name="document-file"),
    path("documents/<uuid:id>/again/", documents.again, name="document-again"),
    path("documents/<uuid:id>/delete/", documents.delete, name="document-delete"),
    path("compare/", pages.comparisons, name="comparisons"),
    path("leaderboard/", pages.leaderboard, name="leaderboard"),
    path("measure/", measures.measures, name="measures"),
    path("measure/begin/", measures.begin, name="measure-begin"),
    path("measure/schedules/<uuid:id>/end/", measures.end_schedule, name="schedule-end"),
    path("measure/<uuid:id>/", reports.measure, name="measure"),
    path("measure/suites/<uuid:id>/", suites.change, name="suite"),
    path("measure/<uuid:id>/delete/", suites.delete_measurement, name="measure-delete"),
    path("measure/<uuid:id>/progress/", reports.going, name="measure-progress"),
    path("measure/<uuid:id>/change/", measures.change, name="measure-change"),
    path("measure/<uuid:id>/items/", reports.items, name="measure-items"),
    path("measure/<uuid:id>/items/<int:number>/", reports.item, name="measure-item"),
    path("measure/<uuid:id>/answers/<int:outcome>/manifest.json", reports.manifest, name="measure-manifest"),
    path("measure/<uuid:id>/<slug:form>/", reports.export, name="measure-export"),
    path("account/usage/", own_usage, name="usage"),
    path("admin/", admin.site.urls),
    path("health", health, name="health"),
]
