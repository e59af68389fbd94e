"""What another program is told when it gets no answer, in the shape OpenAI gives its errors.

The router's failures are mapped in one table. What is wrong between us and a provider is never told as 401 or 403:
the caller's own token would seem to be meant.
"""

from __future__ import annotations

import math
from typing import Any

from workspace.types import Failure

STATUS = {
    "bad_request": 400,
    "context_overflow": 400,
    "refused_content": 400,
    "unfit_model": 400,
    "no_model": 404,
    "rate_limited": 429,
    "internal": 500,
    "auth": 502,
    "permission": 502,
    "not_found": 502,
    "quota": 502,
    "server_error": 502,
    "cut_off": 502,
    "garbage": 502,
    "unreachable": 502,
    "overloaded": 503,
    "out_of_memory": 503,
    "interrupted": 503,
    "timeout": 504,
}
CODES = {
    "context_overflow": "context_length_exceeded",
    "refused_content": "content_filter",
    "no_model": "model_not_found",
    "rate_limited": "rate_limit_exceeded",
}
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """``param`` names the field that is wrong. ``again`` says if the same request may work later."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        again: bool = False,
        retry_after: float | None = None,
        run: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.again = again
        self.retry_after = retry_after
        self.run = run

    @property
    def headers(self) -> dict[str, str]:
        """``x-should-retry`` is what OpenAI's clients obey before they look at the status."""
        headers = {"x-should-retry": "true" if self.again else "false"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.run:
            headers["X-Onepane-Run"] = self.run
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="Onepane"'
        return headers

    def body(self) -> dict[str, Any]:
        kind = TYPES.get(self.status) or ("invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def wrong(param: str, message: str, *, code: str | None = None) -> Refusal:
    """The request itself is wrong, in a field that can be named."""
    return Refusal(400, message, param=param, code=code)


def no_such_model(name: str) -> Refusal:
    """A model that is not there, is off or may not be used: all alike."""
    message = f"There is no model “{name}” for you here. GET /v1/models lists those there are."
    return Refusal(404, message, param="model", code="model_not_found")


def from_failure(failure: Failure, *, run: str) -> Refusal:
    status = STATUS.get(failure.code, 500)
    return Refusal(
        status,
        f"{failure.cause} {failure.action}",
        code=CODES.get(failure.code, failure.code),
        param={"no_model": "model", "unfit_model": "model", "context_overflow": "messages"}.get(failure.code),
        again=status >= 429 and not failure.permanent,
        retry_after=failure.retry_after or (1.0 if status == 429 else None),
        run=run,
    )
