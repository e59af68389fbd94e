"""Who may do what: every route and every frame, once. A new one without an entry fails the matrix by name.

An ``Access`` says what each of ten people meets. Add a line to ``ROUTES`` (or ``FRAMES``); names of the admin
may be patterns, as its pages have one shape for all models. What a library brings goes into ``LIBRARY``.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from fnmatch import fnmatchcase

from workspace.wire import Ask


class Who(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"  # whose chat it is
    VIEWER = "viewer"  # may write there by its share, and not by their role
    READER = "reader"  # invited to read
    WRITER = "writer"  # invited to write, by a group
    STRANGER = "stranger"
    SIGNED_OUT = "signed out"
    DEMOTED = "demoted"  # an admin invited to write when they signed in, a viewer since
    DEACTIVATED = "deactivated"  # the same, switched off since


class Meets(StrEnum):
    IN = "in"
    ABSENT = "absent"  # what nobody's id would get
    FORBIDDEN = "forbidden"
    DOOR = "door"  # the way to sign in
    NOT_TAKEN = "method not taken"


Access = dict[Who, Meets]

OUT = {Who.SIGNED_OUT, Who.DEACTIVATED}
INVITED = {Who.MEMBER, Who.VIEWER, Who.READER, Who.WRITER, Who.DEMOTED}
MAY_CHAT = {Who.OWNER, Who.ADMIN, Who.MEMBER, Who.READER, Who.WRITER, Who.STRANGER}


def access(enter: set[Who], *, forbidden: Collection[Who] = ()) -> Access:
    """``enter`` get in, who is signed out is sent to the door, ``forbidden`` are told no, the others see nothing."""
    return (
        dict.fromkeys(Who, Meets.ABSENT)
        | dict.fromkeys(forbidden, Meets.FORBIDDEN)
        | dict.fromkeys(OUT, Meets.DOOR)
        | dict.fromkeys(enter, Meets.IN)
    )


def refuse(what: Access, meets: Meets = Meets.NOT_TAKEN) -> Access:
    """The same, where whoever would get in meets this."""
    return {who: meets if met is Meets.IN else met for who, met in what.items()}


EVERYBODY = set(Who)
SIGNED = EVERYBODY - OUT
PUBLIC = access(EVERYBODY)
SIGNED_IN = access(SIGNED)
ROLE_WRITES = access(MAY_CHAT, forbidden=SIGNED)
CHAT_READ = access(INVITED)
CHAT_WRITE = access({Who.MEMBER, Who.WRITER}, forbidden=INVITED)
CHAT_COPY = access({Who.MEMBER, Who.READER, Who.WRITER}, forbidden=INVITED)
CHAT_OWNER = access({Who.MEMBER}, forbidden=INVITED)
UPLOADER = access({Who.MEMBER})
ADMIN = access({Who.OWNER, Who.ADMIN})
OUT_ALREADY = dict.fromkeys(OUT, Meets.IN)
OWNER_ONLY = access({Who.OWNER}, forbidden={Who.ADMIN})
NOBODY = refuse(ADMIN, Meets.FORBIDDEN)  # an admin page for what is never added, changed or deleted

NOT_THERE = dict.fromkeys(Who, Meets.ABSENT)
REFUSED = dict.fromkeys(Who, Meets.DOOR)
NO = refuse(SIGNED_IN)  # a method that no page behind the door takes
PUBLIC_NO = refuse(PUBLIC)

# Route -> what GET and what POST meet. Exact names first, then patterns, in this order.
ROUTES: dict[str, tuple[Access, Access]] = {
    "health": (PUBLIC, PUBLIC),
    "sign-in": (PUBLIC, PUBLIC),
    "sign-in-link": (PUBLIC, PUBLIC_NO),
    "sign-out": (PUBLIC_NO, PUBLIC),
    "account": (SIGNED_IN, NO),
    # Getting in and out, and an account of one's own
    "account_login": (PUBLIC, PUBLIC),
    "mfa_authenticate": (PUBLIC, PUBLIC),
    "mfa_login_webauthn": (PUBLIC, PUBLIC),
    "account_inactive": (PUBLIC, PUBLIC_NO),
    "socialaccount_login_cancelled": (PUBLIC, PUBLIC_NO),
    "socialaccount_login_error": (REFUSED, PUBLIC_NO),
    "openid_connect_login": (NOT_THERE, NOT_THERE),
    "openid_connect_callback": (NOT_THERE, NOT_THERE),
    "join": (PUBLIC, PUBLIC),
    "account_logout": (PUBLIC_NO, PUBLIC),
    "mfa_index": (SIGNED_IN, NO),
    "mfa_list_webauthn": (SIGNED_IN, NO),
    "end-sessions": (NO, SIGNED_IN),
    "account_change_password": (SIGNED_IN, SIGNED_IN),
    "account_set_password": (SIGNED_IN, SIGNED_IN),
    # To confirm who has no password and no second step is not possible, and what they do not have is absent.
    **dict.fromkeys(
        ("account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn"),
        (refuse(SIGNED_IN, Meets.FORBIDDEN), refuse(SIGNED_IN, Meets.FORBIDDEN)),
    ),
    "mfa_view_recovery_codes": (access(set()), NO),
    **dict.fromkeys(
        ("mfa_deactivate_totp", "mfa_download_recovery_codes", "mfa_edit_webauthn", "mfa_remove_webauthn"),
        (access(set()), access(set())),
    ),
    "mfa_activate_totp": (SIGNED_IN, SIGNED_IN),
    "mfa_generate_recovery_codes": (SIGNED_IN, SIGNED_IN),
    "mfa_add_webauthn": (SIGNED_IN, SIGNED_IN),
    "socialaccount_connections": (SIGNED_IN, SIGNED_IN),
    "tokens": (SIGNED_IN, ROLE_WRITES),
    "usage": (SIGNED_IN, NO),
    "revoke-token": (NO, UPLOADER),
    "home": (SIGNED_IN, NO),
    "chat": (CHAT_READ, NO),
    "chat-place": (NO, CHAT_READ),
    "chat-history": (CHAT_READ, NO),
    "chat-map": (CHAT_READ, NO),
    "chat-messages": (refuse(CHAT_READ, Meets.ABSENT), NO),  # it names no message, nor do the next three
    "chat-branch": (NO, refuse(CHAT_WRITE, Meets.ABSENT)),
    "chat-merge": (NO, refuse(CHAT_WRITE, Meets.ABSENT)),
    "chat-fork": (NO, refuse(CHAT_COPY, Meets.ABSENT)),
    "chat-undo": (NO, CHAT_WRITE),
    "chat-go": (NO, refuse(CHAT_READ, Meets.ABSENT)),  # it names no message
    "chat-checkpoints": (NO, CHAT_WRITE),
    "chat-checkpoint": (NO, CHAT_WRITE),
    "chat-replay": (CHAT_WRITE, CHAT_WRITE),
    "replay-report": (CHAT_READ, refuse(CHAT_WRITE, Meets.ABSENT)),  # it names no answer
    "chat-links": (CHAT_OWNER, CHAT_OWNER),
    "chat-link-revoke": (NO, CHAT_OWNER),
    "link": (SIGNED_IN, PUBLIC_NO),  # one for people here
    "link-picture": (SIGNED_IN, PUBLIC_NO),
    "link-fork": (PUBLIC_NO, ROLE_WRITES),
    "import": (ROLE_WRITES, ROLE_WRITES),
    "personas": (SIGNED_IN, ROLE_WRITES),
    "persona": (UPLOADER, UPLOADER),
    "chat-export": (CHAT_READ, NO),
    "chat-freeze": (access({Who.MEMBER, Who.READER, Who.WRITER}, forbidden=INVITED),) * 2,
    "chat-rename": (NO, CHAT_OWNER),
    "chat-delete": (NO, CHAT_OWNER),
    "chat-share": (CHAT_OWNER, CHAT_OWNER),
    "comparison-vote": (NO, CHAT_WRITE),
    "comparison-reveal": (NO, CHAT_WRITE),
    "lane-thumb": (NO, CHAT_WRITE),
    "run-why": (CHAT_READ, NO),
    "run-manifest": (CHAT_READ, NO),
    "run-text": (CHAT_READ, NO),
    "blobs": (NO, ROLE_WRITES),
    "blob": (CHAT_READ, NO),
    "documents": (SIGNED_IN, NO),
    "document": (access({Who.MEMBER}), NO),
    "documents-add": (NO, ROLE_WRITES),
    "attach": (NO, ROLE_WRITES),
    "document-state": (access({Who.MEMBER}), NO),
    "search-try": (SIGNED_IN, NO),
    "search-label": (NO, refuse(ROLE_WRITES | dict.fromkeys(SIGNED, Meets.ABSENT), Meets.ABSENT)),  # it names none
    "collection-test": (NO, UPLOADER),
    "collections": (NO, ROLE_WRITES),
    "collection": (NO, UPLOADER),
    "document-file": (access({Who.MEMBER}), NO),
    "comparisons": (SIGNED_IN, NO),
    "leaderboard": (SIGNED_IN, NO),
    "measures": (SIGNED_IN, NO),
    "measure-begin": (NO, ROLE_WRITES),
    "measure": (UPLOADER, NO),
    "measure-progress": (UPLOADER, NO),
    "measure-delete": (NO, UPLOADER),
    "suite": (NO, UPLOADER),
    "measure-change": (NO, UPLOADER),
    "measure-export": (UPLOADER, NO),
    "measure-items": (UPLOADER, NO),
    "measure-item": (UPLOADER, NO),
    "measure-manifest": (UPLOADER, NO),
    "schedule-end": (NO, UPLOADER),
    "document-again": (NO, UPLOADER),
    "document-delete": (NO, UPLOADER),
    # The admin
    "admin:login": (refuse(ADMIN, Meets.DOOR), refuse(ADMIN, Meets.DOOR)),
    # Who is out already is sent to the admin's index, and from there to the door.
    "admin:logout": (refuse(ADMIN) | OUT_ALREADY, ADMIN | OUT_ALREADY),
    "admin:password_change_done": (ADMIN, refuse(ADMIN)),
    "admin:jsi18n": (ADMIN, refuse(ADMIN)),
    "admin:view_on_site": (access(set()), access(set())),  # nothing in the admin has a page outside it
    "admin:autocomplete": (NOBODY, refuse(ADMIN)),
    "admin:accounts_person_link": (refuse(ADMIN), ADMIN),
    "admin:accounts_person_end": (refuse(ADMIN), ADMIN),
    "admin:accounts_person_second_steps": (refuse(ADMIN), ADMIN),
    "admin:accounts_person_owner": (refuse(ADMIN), OWNER_ONLY),
    "admin:accounts_invitation_revoke": (refuse(ADMIN), ADMIN),
    "admin:providers_languagemodel_names": (ADMIN, ADMIN),
    "admin:providers_languagemodel_local": (ADMIN, ADMIN),
    "admin:providers_provider_test": (refuse(ADMIN), ADMIN),
    "admin:providers_provider_find": (refuse(ADMIN), ADMIN),
    "admin:providers_provider_add_found": (refuse(ADMIN), ADMIN),
    "admin:router_run_add": (NOBODY, NOBODY),
    "admin:router_run_change": (ADMIN, NOBODY),
    "admin:router_loggeddecision_add": (NOBODY, NOBODY),
    "admin:router_loggeddecision_change": (ADMIN, NOBODY),
    "admin:audit_auditentry_add": (NOBODY, NOBODY),
    "admin:audit_auditentry_change": (ADMIN, NOBODY),
    "admin:audit_auditentry_verify": (refuse(ADMIN), ADMIN),
    "admin:audit_auditentry_download": (refuse(ADMIN), ADMIN),
    "admin:router_dailyusage_add": (NOBODY, NOBODY),
    "admin:router_dailyusage_change": (ADMIN, NOBODY),
    "admin:accounts_group_delete": (ADMIN, ADMIN),
    "admin:accounts_identityprovider_delete": (ADMIN, ADMIN),
    "admin:router_budget_delete": (ADMIN, ADMIN),
    "admin:accounts_invitation_change": (ADMIN, NOBODY),
    **dict.fromkeys([f"admin:retrieval_searchengine_{page}" for page in ("add", "change", "delete")], (ADMIN, ADMIN)),
    **dict.fromkeys([f"admin:retrieval_embeddingmodel_{page}" for page in ("add", "change", "delete")], (ADMIN, ADMIN)),
    "admin:retrieval_searchsettings_change": (ADMIN, ADMIN),
    "admin:retrieval_*_add": (NOBODY, NOBODY),
    "admin:retrieval_*_change": (ADMIN, NOBODY),
    "admin:router_routerconfiguration_replay": (ADMIN, refuse(ADMIN)),
    "admin:router_routerconfiguration_check": (refuse(ADMIN), ADMIN),
    "admin:router_routerconfiguration_schema": (ADMIN, refuse(ADMIN)),
    "admin:router_routerconfiguration_file": (ADMIN, refuse(ADMIN)),
    "admin:router_prompttemplate_preview": (refuse(ADMIN), ADMIN),
    "admin:router_routerconfiguration_try": (refuse(ADMIN), ADMIN),
    "admin:router_routerconfiguration_trial": (ADMIN, refuse(ADMIN)),
    "admin:router_routerconfiguration_end_trial": (refuse(ADMIN), ADMIN),
    "admin:*_compare": (ADMIN, refuse(ADMIN)),
    "admin:*_use": (refuse(ADMIN), ADMIN),
    "admin:*_delete": (NOBODY, NOBODY),
    **{f"admin:*_{page}": (ADMIN, ADMIN) for page in ("changelist", "add", "change", "history")},
    **{f"admin:{page}": (ADMIN, ADMIN) for page in ("index", "app_list", "password_change")},
    "admin/*>/": (ADMIN, ADMIN),  # leads on to the row's page
    "admin/(?P<url>.*)$": (refuse(ADMIN, Meets.ABSENT), refuse(ADMIN, Meets.ABSENT)),
}

# Prefix -> why everybody may go there: public pages of libraries, whose own tests hold them.
LIBRARY: dict[str, str] = {}

# For other programs, by a token alone: served apart from the pages, on a loop, and held by tests/api/.
PROGRAMS = {"chat-completions", "models", "model", "generate", "^(v1|api)/"}

FRAMES: dict[str, Access] = {
    Ask.OPEN: CHAT_READ,
    Ask.SEND: CHAT_WRITE,
    Ask.COMPARE: CHAT_WRITE,
    Ask.FUSE: CHAT_WRITE,
    Ask.LANE: CHAT_WRITE,
    Ask.RETRY: CHAT_WRITE,
    Ask.CONTINUE: CHAT_WRITE,
    Ask.STOP: CHAT_WRITE,
    Ask.SUGGEST: ROLE_WRITES,  # a draft belongs to no chat
}
BEGIN = ROLE_WRITES  # a question without a chat


def entry(route: str) -> tuple[Access, Access] | None:
    if route in ROUTES:
        return ROUTES[route]
    if any(route.startswith(prefix) for prefix in LIBRARY):
        return PUBLIC, PUBLIC
    return next((ROUTES[pattern] for pattern in ROUTES if fnmatchcase(route, pattern)), None)
