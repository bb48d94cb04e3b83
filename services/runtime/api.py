"""The FastAPI app that each service builds its admin and read APIs on."""

from __future__ import annotations

from fastapi import FastAPI

from services.runtime.metrics import VERSION
from services.runtime.problems import install_problem_handlers


def new_api(*, title: str, description: str) -> FastAPI:
    """An app whose errors are problems, with `/openapi.json` and `/docs`; both slashes and none are the same path."""
    app = FastAPI(
        title=title,
        description=description,
        version=VERSION,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[],
    )
    install_problem_handlers(app)
    return app
