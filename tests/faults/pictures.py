"""A picture in a colour of its own for each edit, so that a result tells whose it is; served by address.

A picture handed in as an upload is served by the API, and would be away when the API is killed.
"""

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

PROMPT = "mirror it"  # of a picture in one colour: the same picture


def colour(number: int) -> tuple[int, int, int]:
    return (number % 256, number // 256 % 256, 128)


@lru_cache(maxsize=256)
def png(number: int) -> bytes:
    drawn = io.BytesIO()
    Image.new("RGB", (64, 64), colour(number)).save(drawn, "PNG")
    return drawn.getvalue()


def as_data(number: int) -> str:
    return "data:image/png;base64," + base64.b64encode(png(number)).decode()


def shows(content: bytes, number: int) -> bool:
    """Whether this result was made from that picture."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.convert("RGB").getpixel((1, 1)) == colour(number)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = png(int(self.path.strip("/").removesuffix(".png")))
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def served() -> Iterator[str]:
    """The address under which picture n is `/n.png`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(90)
