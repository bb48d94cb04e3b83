"""Account ids in paths: any characters, percent-encoded; an encoded slash belongs to the id, a bare one separates."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path
from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = "/v1/accounts/"


class EncodedAccountPaths:
    """ASGI middleware: below /v1/accounts/ routes see the path as it was sent.

    Servers decode paths before routing, after which the account `a/explain` cannot be told from the explanation of `a`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX) and scope.get("raw_path"):
            encoded = scope["raw_path"].partition(b"?")[0].decode("latin-1")
            if encoded.startswith(_PREFIX):
                scope = {**scope, "path": encoded}
        await self._app(scope, receive, send)


async def _decoded(
    account_id: Annotated[str, Path(description="Percent-encoded, slashes too", examples=["acme"])],
) -> str:
    return unquote(account_id)


AccountId = Annotated[str, Depends(_decoded)]
