"""The dependency of a route that reads a JSON body."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from multitalk.schema.json_document import MAX_VALUES
from multitalk.serving.api.body_parser import BodyParser
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.services import services_of


class JsonBody:
    """Dependency: a JSON body, which its model documents.

    FastAPI would read a body whole, before any limit is checked. Here a route gets a `BodyReader`
    and reads it after what it has to check first.

    Args:
        model: Of the body, for `/openapi.json`. The route validates what it reads.
        example: A body that is valid.
        max_bytes: Of the body.
        max_values: Of the document, see `read_json`.
        takes_file: Whether a file may be sent in place of the document.
    """

    def __init__(
        self,
        model: type[BaseModel],
        *,
        example: object,
        max_bytes: Callable[[ServeConfig], int],
        max_values: int = MAX_VALUES,
        takes_file: bool = False,
    ) -> None:
        self.model = model
        self.example = example
        self.takes_file = takes_file
        self._max_bytes = max_bytes
        self._max_values = max_values

    async def __call__(self, request: Request) -> "BodyReader":
        """The reader for a request."""
        services = services_of(request)
        max_bytes = self._max_bytes(services.config)
        return BodyReader(services.bodies, request, max_bytes, self._max_values)


@dataclass(frozen=True)
class BodyReader:
    """Reads the JSON body of one request.

    Attributes:
        parser: Reads it.
        request: The request.
        max_bytes: Of its body.
        max_values: Of the document.
    """

    parser: BodyParser
    request: Request
    max_bytes: int
    max_values: int

    async def read(self) -> Any:
        """The document; errors are those of `BodyParser.read`."""
        return await self.parser.read(
            self.request, max_bytes=self.max_bytes, max_values=self.max_values
        )
