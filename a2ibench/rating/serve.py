"""The server of a study: the rating page for whoever holds a rater's secret, the progress for the researcher."""

import asyncio
import json
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench.errors import A2IBenchError
from a2ibench.rating.orders import orders
from a2ibench.rating.render import media, mime, part, script, served_page, watch_page
from a2ibench.rating.store import Answer, Store, StudyChangedError, hashed, now
from a2ibench.rating.study import Study

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BYTES = 2048
"""Of the body of an answer; a true one has about 70."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # the address holds the secret
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-robots-tag": "noindex, nofollow",
}
TELLING = frozenset({"last-modified", "etag"})
"""Headers of a file that would tell when it was written, and nobody needs: nothing is cached."""

_Asgi = Callable[..., Awaitable[None]]


class Given(BaseModel):
    """An answer as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    item: str = Field(max_length=64)
    value: int | str
    seconds: float = Field(ge=0, le=86_400)


class Gate:
    """Lets nobody through without a secret, and puts the same headers on every answer.

    Addresses are ``/r/SECRET/…`` for a rater and ``/w/SECRET/…`` for the researcher, who watches; each secret
    opens its own kind only. All else is 404, whatever the method, as if nothing were there.
    """

    def __init__(self, app: _Asgi, store: Store, researcher: str):
        self.app, self.store, self.researcher = app, store, hashed(researcher)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as ASGI wants it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the server speaks no {scope['type']}")

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                hidden = HEADERS.keys() | TELLING
                message["headers"] = [pair for pair in message["headers"] if pair[0].decode() not in hidden] + own
            await send(message)

        from starlette.responses import PlainTextResponse

        rater = self._rater(scope["path"])
        app: _Asgi = self.app if rater is not None else PlainTextResponse("Not Found", 404)
        await app({**scope, "rater": rater}, receive, send_with_headers)

    def _rater(self, path: str) -> str | None:
        """Whose address it is: a rater's name, nothing for the researcher, None for nobody."""
        kind, secret = (*path.split("/", 3), "", "")[1:3]
        if kind == "r":
            return self.store.find(secret)
        return "" if kind == "w" and compare_digest(hashed(secret), self.researcher) else None


def application(study: Study, folder: Path, store: Store, researcher: str) -> Gate:
    """Build the server's application.

    Parameters
    ----------
    study, folder
        The study and its folder.
    store
        Where the answers go.
    researcher
        The secret of the researcher's page.

    Raises
    ------
    A2IBenchError
        If a file is missing in the folder.

    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

    files = {name: folder / "media" / name for name in media(study)}
    for file in files.values():
        if not file.is_file():
            raise A2IBenchError(f"{file} is missing; make the study again.")
    all_orders = orders(study)

    def text(name: str) -> "Callable[[Request], Awaitable[Response]]":
        kind = "text/css" if name.endswith(".css") else "text/javascript"

        async def answer(request: "Request") -> "Response":
            return Response(script() if name == "page.js" else part(name), media_type=kind)

        return answer

    async def with_slash(request: "Request") -> "Response":
        return RedirectResponse(f"{request.path_params['secret']}/")

    async def page(request: "Request") -> "Response":
        return HTMLResponse(served_page(study, folder, all_orders, request.scope["rater"]))

    async def medium(request: "Request") -> "Response":
        file = files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404, "there is no such file")
        return FileResponse(file, media_type=mime(file))

    async def own_answers(request: "Request") -> "Response":
        rows = store.answers(request.scope["rater"])
        kept = [{"item": row.item, "value": row.value, "seconds": row.seconds, "at": row.at} for row in rows]
        return JSONResponse({"study": study.digest, "rater": request.scope["rater"], "answers": kept})

    async def keep(request: "Request") -> "Response":
        _refuse_other_sites(request)
        given = await _given(request, study)
        answer = Answer(study.digest, request.scope["rater"], given.item, given.value, given.seconds, now())
        try:
            await asyncio.wrap_future(store.put(answer))
        except sqlite3.Error:
            raise HTTPException(503, "the answer could not be written") from None
        except StudyChangedError:
            raise HTTPException(409, "the study was changed while the server ran") from None
        return JSONResponse({"item": answer.item, "value": answer.value, "at": answer.at})

    async def watch(request: "Request") -> "Response":
        return HTMLResponse(watch_page(study))

    async def progress(request: "Request") -> "Response":
        raters = [vars(row) for row in store.progress()]
        return JSONResponse({"study": study.digest, "total": len(study.items), "raters": raters})

    async def refused(request: "Request", error: Exception) -> "Response":
        assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for these alone
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    rater, watcher = "/r/{secret}", "/w/{secret}"
    routes = [
        Route(rater, with_slash),
        Route(f"{rater}/", page),
        Route(f"{rater}/style.css", text("style.css")),
        Route(f"{rater}/page.js", text("page.js")),
        Route(f"{rater}/media/{{name}}", medium),
        Route(f"{rater}/answers", own_answers, methods=["GET"]),
        Route(f"{rater}/answers", keep, methods=["POST"]),
        Route(watcher, with_slash),
        Route(f"{watcher}/", watch),
        Route(f"{watcher}/style.css", text("style.css")),
        Route(f"{watcher}/watch.js", text("watch.js")),
        Route(f"{watcher}/progress", progress),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: refused})
    app.router.redirect_slashes = False
    return Gate(app, store, researcher)


def _refuse_other_sites(request: "Request") -> None:
    """Refuse what another site makes a browser send. A browser says where a request comes from; others need not."""
    from starlette.exceptions import HTTPException

    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    try:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:  # of "http://[", which no browser sends
        foreign = True
    if foreign or site not in (None, "same-origin"):
        raise HTTPException(403, "the request comes from another site")


async def _given(request: "Request", study: Study) -> Given:
    """Read and check an answer, stopping as soon as something is wrong."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "an answer is application/json")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise HTTPException(413, f"an answer has at most {MOST_BYTES} bytes", {"connection": "close"})
    except ClientDisconnect:
        raise HTTPException(400, "the answer broke off") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the answer is not JSON") from None
    try:
        given = Given.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(place) for place in first["loc"])
        raise HTTPException(422, f"{where or 'the answer'}: {first['msg']}") from None
    if given.item not in study.by_id:
        raise HTTPException(422, "there is no such item in this study")
    if given.value not in study.values:
        raise HTTPException(422, f"the value must be one of {', '.join(map(str, study.values))}")
    return given


def serve(folder: Path, *, host: str, port: int, announce: Callable[[str, str], None]) -> None:
    """Serve a study until it is stopped (Ctrl-C); a kill at any moment loses no acknowledged answer.

    Parameters
    ----------
    folder
        The study.
    host, port
        Where to listen; port 0 takes a free one.
    announce
        Is told the server's address, and the researcher's secret address, as soon as the server listens.

    Raises
    ------
    A2IBenchError
        If the study is not whole or was changed after its first answer, or the address can't be used.

    """
    import uvicorn

    study = Study.load(folder)
    store = Store(folder, study)
    try:
        researcher = token_urlsafe(24)
        app = application(study, folder, store, researcher)
        with _listen(host, port) as listening:
            address = address_of(host, listening.getsockname()[1])
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,  # it would write the secrets, which are in the addresses
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_keep_alive=75,  # a rater thinks for some seconds between two answers
                timeout_graceful_shutdown=5,
            )
            announce(address, f"{address}/w/{researcher}/")
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        store.close()


def address_of(host: str, port: int) -> str:
    """Write the address of a server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. Without, each answer waits 40 ms for an acknowledgement of its own headers.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise A2IBenchError(
            f"The server can't listen on {host}, port {port} ({reason}); choose another --host or --port."
        ) from None
