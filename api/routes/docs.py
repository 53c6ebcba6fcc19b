"""The page that shows /openapi.json. It loads nothing else, so it works offline."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE: Final = (Path(__file__).parents[1] / "static" / "docs.html").read_text(encoding="utf-8")


def _hashes(tag: str) -> str:
    """Hashes of the inline parts of the page: the browser runs no others."""
    inline = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", _PAGE, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in inline)


_POLICY: Final = (
    f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
async def page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
