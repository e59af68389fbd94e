"""All settings, in one file. Each comes from the environment, is refused when malformed, and has a
default that works on a bare machine: with no environment at all, Onepane runs embedded (SQLite, an
in-memory broker, child processes for torch and Chroma). The README lists them; a test holds the list.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from csp.constants import NONCE
from environs import Env

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# Where everything that must survive lives: database, blobs, indexes, the secret key.
DATA_DIR = Path(env.str("DATA_DIR", "var")).expanduser()
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
DATA_DIR.mkdir(parents=True, exist_ok=True)

# Unix sockets have short names at most (108 bytes), so they live beside the temporary files, apart for
# each DATA_DIR and open to this user alone.
SOCKET_DIR = (
    Path(tempfile.gettempdir())
    / f"onepane-{os.getuid()}-{hashlib.sha256(str(DATA_DIR.resolve()).encode()).hexdigest()[:12]}"
)

DEBUG = env.bool("DEBUG", False)
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("TRUSTED_ORIGINS", [])
HTTPS = env.bool("HTTPS", False)  # behind a proxy that ends TLS


def secret_key() -> str:
    """Made once and kept in DATA_DIR, so that sessions and encrypted keys outlive a restart."""
    path = DATA_DIR / "secret.key"
    if not path.exists():
        import secrets

        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # only the first of several starting processes wins
        except FileExistsError:
            pass
        draft.unlink()
    return path.read_text().strip()


SECRET_KEY = env.str("SECRET_KEY", "") or secret_key()

# Services mode: set these, and the same code uses PostgreSQL, Redis and a Chroma server.
DATABASE_URL = env.str("DATABASE_URL", "")
REDIS_URL = env.str("REDIS_URL", "")
CHROMA_URL = env.str("CHROMA_URL", "")

INSTALLED_APPS = [
    "daphne",
    "workspace.audit",
    "workspace.accounts",
    "workspace.providers",
    "workspace.router",
    "workspace.measurement",
    "workspace.api",
    "workspace.apps.OnepaneAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "servestatic",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "retrieval",
    "chat",
    "workspace",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "workspace.accounts.sessions.SeenMiddleware",
    "workspace.audit.log.AuditedRequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "workspace.urls"
ASGI_APPLICATION = "workspace.asgi.application"
AUTH_USER_MODEL = "accounts.Person"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["workspace.formats"]
DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y H:i"
TIME_FORMAT = "H:i"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
            "builtins": ["workspace.templatetags.onepane"],
        },
    }
]

if DATABASE_URL:
    import dj_database_url

    DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DATA_DIR / "onepane.sqlite3"),
            "OPTIONS": {
                # A writer takes its lock at BEGIN and waits there, so no transaction fails half-way on a lock.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=1073741824; "
                "PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON; "
                "PRAGMA secure_delete=ON;",
            },
            "CONN_MAX_AGE": None,
            "TEST": {"NAME": str(DATA_DIR / "test.sqlite3")},
        }
    }

NAMESPACE = env.str("NAMESPACE", "onepane")  # keeps workspaces apart that share one Redis
# Between processes alone (workspace/hub.py). Not under the name by which every socket would open a channel of its own.
_RELAY = {
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    # The relay waits five seconds at a time for a message; the client's own limit, five too, would end the wait first.
    "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 30}], "prefix": NAMESPACE},
}
CHANNEL_LAYERS = {"relay": _RELAY} if REDIS_URL else {}

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_DEFAULT_QUEUE = NAMESPACE
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
if REDIS_URL:  # or a task of more than an hour would be delivered again while it is carried out
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 12 * 3600}
CELERY_WORKER_CONCURRENCY = env.int("WORKERS", 2)

# Limits on guesses are counted here: shared between processes with Redis, this process's own without.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}}
}

# Signing in is allauth's work, on our pages (workspace/accounts). Nothing in it needs mail to be sent.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if HTTPS else 0  # the proxy's own entry in X-Forwarded-For: the last, never the first
ACCOUNT_ADAPTER = "workspace.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False  # an address is what a provider says; nobody signs in by it
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60  # seconds
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "8/15m/key,40/15m/ip", "change_password": "8/15m/user"}
ACCOUNT_FORMS = {
    "change_password": "workspace.accounts.forms.ChangePassword",
    "set_password": "workspace.accounts.forms.SetPassword",
}
MFA_ADAPTER = "workspace.accounts.adapters.SecondStepAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_TOLERANCE = 0  # allauth remembers a used code for half a minute: one that lived longer could be used twice
SOCIALACCOUNT_ADAPTER = "workspace.accounts.adapters.IdentityAdapter"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form may lead to our own pages alone (form-action), so links begin it
ADMIN_SECOND_STEP = env.bool("ADMIN_SECOND_STEP", False)  # the admin opens only with an authenticator app or a passkey

SESSION_ENGINE = "workspace.accounts.session_store"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_SAVE_EVERY_REQUEST = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FILES = 1_000  # a folder dropped on the page
SEARXNG_URL = env.str("SEARXNG_URL", "")  # a SearXNG of one's own appears by itself as a search engine
SEARCH_KEYS = {"brave": env.str("BRAVE_API_KEY", ""), "tavily": env.str("TAVILY_API_KEY", "")}
WEB_DEADLINE = env.float("WEB_DEADLINE", 12.0)  # seconds for a search of the web with all pages it reads
WEB_PAGE_HOURS = env.float("WEB_PAGE_HOURS", 24.0)  # a page that was read longer ago is read again
FETCH_PRIVATE_HOSTS: list[str] = env.list(
    "FETCH_PRIVATE_HOSTS", []
)  # of a private network, and fetched from all the same
MAX_DOCUMENT = env.int("MAX_DOCUMENT_MB", 50) * 1_000_000  # bytes of one document
OCR_LANGUAGES = env.str("OCR_LANGUAGES", "eng")  # in which Tesseract reads pictures, where it is installed: eng+deu
MAX_UPLOAD = env.int("MAX_UPLOAD_MB", 20) * 1_000_000  # bytes of one attached image
MAX_IMPORT = env.int("MAX_IMPORT_MB", 100) * 1_000_000  # bytes of a file of chats

# Strict everywhere, the admin too: scripts by nonce, nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", NONCE],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
BUNDLE_DIR = DATA_DIR / "bundle"  # the joined style sheet (workspace/stylesheet.py)
BUNDLE_DIR.mkdir(exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "static", BUNDLE_DIR]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}
BLOB_DIR = DATA_DIR / "blobs"
DOCUMENT_DIR = DATA_DIR / "documents"

# Models. The loopback addresses are asked at start and every minute; set to nothing to ask none.
DISCOVER = env.list("DISCOVER", ["http://127.0.0.1:11434/v1", "http://127.0.0.1:1234/v1", "http://127.0.0.1:8000/v1"])
PROVIDER_KEYS = {  # a provider whose key is here appears by itself; the key is never stored
    "ANTHROPIC_API_KEY": env.str("ANTHROPIC_API_KEY", ""),
    "OPENAI_API_KEY": env.str("OPENAI_API_KEY", ""),
    "GEMINI_API_KEY": env.str("GEMINI_API_KEY", ""),
    "GOOGLE_API_KEY": env.str("GOOGLE_API_KEY", ""),
    "OPENROUTER_API_KEY": env.str("OPENROUTER_API_KEY", ""),
    "GROQ_API_KEY": env.str("GROQ_API_KEY", ""),
    "MISTRAL_API_KEY": env.str("MISTRAL_API_KEY", ""),
    "DEEPSEEK_API_KEY": env.str("DEEPSEEK_API_KEY", ""),
}
FIRST_TOKEN_DEADLINE = env.float("FIRST_TOKEN_DEADLINE", 60.0)  # seconds
IDLE_DEADLINE = env.float("IDLE_DEADLINE", 60.0)  # seconds between two pieces of an answer
TOTAL_DEADLINE = env.float("TOTAL_DEADLINE", 900.0)  # seconds for a whole answer, all calls together
RETENTION_DAYS = env.int("RETENTION_DAYS", 90)  # of the router's log of decisions
LOCAL_MODELS = env.bool("LOCAL_MODELS", True)  # start the model host and the index host
LOCAL_MEMORY_GIB = env.float("LOCAL_MEMORY_GIB", 0.0)  # that local models may take; 0 is 60 % of the memory

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "stream": sys.stderr}},
    "loggers": {"kombu.connection": {"level": "ERROR"}},  # it warns that the in-memory broker has no host name
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "WARNING")},
}
