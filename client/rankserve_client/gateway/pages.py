"""The playground: files beside this one, which need nothing else to be served."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from rankserve_client.gateway.guard import PAGES

_FOLDER = Path(__file__).with_name("playground")


def page_routes() -> list[BaseRoute]:
    """Routes of the pages."""
    return [Route("/", _to_playground), Mount(PAGES.rstrip("/"), StaticFiles(directory=_FOLDER, html=True))]


async def _to_playground(_: Request) -> Response:
    return RedirectResponse(PAGES)
