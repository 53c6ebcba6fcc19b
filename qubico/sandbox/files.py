"""The file host: result pictures by address, without a key, until they expire; here the faults of files happen."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from qubico.sandbox import wire
from qubico.sandbox.connection import Cut
from qubico.sandbox.provider import Provider
from qubico.sandbox.shelf import CONTENT_TYPES
from qubico.sandbox.storefront import check_outage
from qubico.sandbox.tasks import BadPicture, Task

GIF = bytes.fromhex("474946383961010001008000000000ffffffff2c00000000010001000002024401003b")
MOVED = "moved=1"
MIB = 1024 * 1024


async def download(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    provider.stats.counts["downloads"] += 1
    check_outage(provider.options, "download")
    task = provider.ledger.find(request.path_params["name"])
    now = provider.clock.now()
    if task is None or task.status(now) != "completed" or now > task.ended + provider.options.result_lifetime:
        return wire.html(404)
    task.downloads += 1
    if odd := task.odd_answer("file"):
        return odd
    if "redirect" in task.faults and request.url.query != MOVED:
        return RedirectResponse(_by_other_name(request), 302)
    try:
        return _file(task, await provider.studio.picture(task))
    except BadPicture:
        return wire.html(404)  # the painted file was dropped and its input is gone: like an expired file


def _file(task: Task, picture: bytes) -> Response:
    media_type = CONTENT_TYPES[task.result_type]
    if task.spend("cut"):
        return Cut(picture, media_type=media_type)
    if "huge" in task.faults:
        return StreamingResponse([picture, *[bytes(MIB)] * int(task.faults["huge"])], media_type=media_type)
    if "wrong_type" in task.faults:
        picture = GIF
    if "truncated" in task.faults:
        picture = picture[: len(picture) * 3 // 5]
    return Response(picture, media_type=media_type)


def _by_other_name(request: Request) -> str:
    """The same file on this server under another host name, which an allow-list of hosts must refuse."""
    asked = urlsplit(str(request.url))
    other = "localhost" if asked.hostname == "127.0.0.1" else "127.0.0.1"
    return asked._replace(netloc=f"{other}:{asked.port or 80}", query=MOVED).geturl()


ROUTES = [Route("/temp/{name}", download, methods=["GET"])]
