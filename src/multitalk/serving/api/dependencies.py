"""What routes depend on: services, the caller and their rate limit, the job that a path names."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeGuard, TypeVar

from fastapi import Depends, Query, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute

from multitalk.errors import Cancelled
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.access.quota import StorageQuota
from multitalk.serving.api.access.rate_limits import Operation, RateLimits
from multitalk.serving.api.client_media import ClientMedia
from multitalk.serving.api.config import ServeConfig
from multitalk.serving.api.database import Database
from multitalk.serving.api.jobs.estimate import Estimator
from multitalk.serving.api.jobs.job_access import own_job
from multitalk.serving.api.jobs.job_replies import JobReplies
from multitalk.serving.api.jobs.submissions import Submissions
from multitalk.serving.api.services import services_of
from multitalk.serving.api.text_to_speech import TextToSpeech
from multitalk.serving.api.transport.uvicorn_server import ShutdownState
from multitalk.serving.api.uploads import UploadStore
from multitalk.serving.queue import Job, JobQueue
from multitalk.settings import Settings

DISCONNECT_CHECK_SECONDS = 0.5
MAX_DIGITS = 14  # of a number in a query

Answer = TypeVar("Answer")


async def get_config(connection: HTTPConnection) -> ServeConfig:
    """The operator's configuration of this server."""
    return services_of(connection).config


async def get_settings(connection: HTTPConnection) -> Settings:
    """The operator's settings of all entry points."""
    return services_of(connection).settings


async def get_engine(connection: HTTPConnection) -> str:
    """The engine that the workers load."""
    return services_of(connection).engine


async def get_keys(connection: HTTPConnection) -> KeyRing:
    """API keys."""
    return services_of(connection).keys


async def get_secret(connection: HTTPConnection) -> bytes:
    """From which the secrets of webhooks are derived."""
    return services_of(connection).secret


async def get_queue(connection: HTTPConnection) -> JobQueue:
    """The jobs."""
    return services_of(connection).queue


async def get_database(connection: HTTPConnection) -> Database:
    """The server's own records."""
    return services_of(connection).database


async def get_uploads(connection: HTTPConnection) -> UploadStore:
    """Files that were sent ahead of their jobs."""
    return services_of(connection).uploads


async def get_quota(connection: HTTPConnection) -> StorageQuota:
    """The limits of storage."""
    return services_of(connection).quota


async def get_limits(connection: HTTPConnection) -> RateLimits:
    """Rate limits, for what counts as more than one request."""
    return services_of(connection).limits


async def get_shutdown(connection: HTTPConnection) -> ShutdownState:
    """The server's shutdown."""
    return services_of(connection).shutdown


async def get_worker_ids(connection: HTTPConnection) -> set[str]:
    """Ids of the workers that this server has started."""
    return services_of(connection).own_workers


async def get_replies(request: Request) -> JobReplies:
    """Jobs as JSON, for the caller."""
    return services_of(request).replies.at(base_url_of(request))


async def get_submissions(connection: HTTPConnection) -> Submissions:
    """Sends jobs to the queue."""
    return services_of(connection).submissions


async def get_estimator(connection: HTTPConnection) -> Estimator:
    """Estimates jobs."""
    return services_of(connection).estimator


async def get_speech(connection: HTTPConnection) -> TextToSpeech:
    """Speaks texts."""
    return services_of(connection).speech


async def get_client_media(connection: HTTPConnection) -> ClientMedia:
    """Opens clients' files."""
    return services_of(connection).client_media


ConfigDep = Annotated[ServeConfig, Depends(get_config)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
EngineDep = Annotated[str, Depends(get_engine)]
KeysDep = Annotated[KeyRing, Depends(get_keys)]
SecretDep = Annotated[bytes, Depends(get_secret)]
QueueDep = Annotated[JobQueue, Depends(get_queue)]
DatabaseDep = Annotated[Database, Depends(get_database)]
UploadsDep = Annotated[UploadStore, Depends(get_uploads)]
QuotaDep = Annotated[StorageQuota, Depends(get_quota)]
LimitsDep = Annotated[RateLimits, Depends(get_limits)]
ShutdownDep = Annotated[ShutdownState, Depends(get_shutdown)]
WorkerIds = Annotated[set[str], Depends(get_worker_ids)]
RepliesDep = Annotated[JobReplies, Depends(get_replies)]
SubmissionsDep = Annotated[Submissions, Depends(get_submissions)]
EstimatorDep = Annotated[Estimator, Depends(get_estimator)]
SpeechDep = Annotated[TextToSpeech, Depends(get_speech)]
ClientMediaDep = Annotated[ClientMedia, Depends(get_client_media)]


def base_url_of(connection: HTTPConnection) -> str:
    """The URL by which the caller of a request or WebSocket reaches this server, by HTTP."""
    if configured := services_of(connection).config.base_url:
        return configured
    host, scope = connection.headers.get("host"), connection.scope
    if host is None:
        return re.sub("^ws", "http", str(connection.base_url)).rstrip("/")
    # As Starlette's `base_url`, which parses URLs and takes a sixth of the time of a poll.
    scheme = scope["scheme"].replace("ws", "http", 1)
    path = scope.get("app_root_path", scope.get("root_path", ""))
    return f"{scheme}://{host}{path}".rstrip("/")


async def get_base_url(request: Request) -> str:
    """The base URL of a route."""
    return base_url_of(request)


async def get_owner(request: Request) -> str:
    """Id of the key that a request came with (see `auth`); empty where none is needed."""
    owner: str = request.state.owner
    return owner


def caller_of(connection: HTTPConnection) -> str:
    """Whose requests are counted together: a key's, or without keys a machine's."""
    owner: str = connection.state.owner
    return owner or (connection.client.host if connection.client else "")


async def get_caller(request: Request) -> str:
    """The caller of a route."""
    return caller_of(request)


BaseUrl = Annotated[str, Depends(get_base_url)]
Owner = Annotated[str, Depends(get_owner)]
Caller = Annotated[str, Depends(get_caller)]


def rate_limit(operation: Operation) -> params.Depends:
    """Dependency of a route: counts its requests; TooManyRequests above the limit."""

    async def check(request: Request) -> None:
        services_of(request).limits.admit(caller_of(request), operation)

    dependency: params.Depends = Depends(check)
    return dependency


async def get_own_job(request: Request) -> Job:
    """The caller's job that the path names, `{job_id}`."""
    # Not declared as a parameter, which would be validated at each poll; `openapi` documents it.
    job_id: str = request.path_params["job_id"]
    return await own_job(services_of(request).queue, job_id, request.state.owner)


OwnJob = Annotated[Job, Depends(get_own_job)]


@dataclass(frozen=True)
class UrlSignature:
    """The signature in a URL's query and its time; None and "" where it has none."""

    signature: str | None
    expires: str

    def check(self, request: Request, name: str) -> None:
        """Check that this server has signed a URL of `name`.

        Raises:
            Unauthorized: It has not, or its time is over.
        """
        services = services_of(request)
        services.url_signer.check(name, self.expires, self.signature or "", now=services.clock())
        request.state.has_signature = True  # so its connection counts as authenticated


async def get_url_signature(
    request: Request,
    signature: Annotated[
        str | None, Query(description="of a signed URL, in place of a key")
    ] = None,
    expires: Annotated[str, Query(description="of a signed URL")] = "",
) -> UrlSignature | None:
    """The signature that has to be checked; None where the request came with a key only."""
    if signature is None and request.state.owner is not None:
        return None
    return UrlSignature(signature, expires)


SignatureDep = Annotated[UrlSignature | None, Depends(get_url_signature)]


async def get_authorized_job(request: Request, signature: SignatureDep) -> Job:
    """The job whose video may be had: by its owner's key, or by a signed URL.

    Raises:
        Unauthorized: No key, and no URL that this server has signed, or its time is over.
        NotFound: No such job, or it is another owner's.
    """
    queue, job_id = services_of(request).queue, request.path_params["job_id"]
    if signature is None:
        return await own_job(queue, job_id, request.state.owner)
    signature.check(request, job_id)
    return await queue.get(job_id)


AuthorizedJob = Annotated[Job, Depends(get_authorized_job)]


def accepts_signed_url(route: BaseRoute) -> TypeGuard[APIRoute]:
    """Whether a route takes a signed URL in place of a key."""
    return isinstance(route, APIRoute) and _depends_on(route.dependant, get_url_signature)


def _depends_on(dependant: Dependant, call: Callable[..., object]) -> bool:
    return dependant.call is call or any(_depends_on(one, call) for one in dependant.dependencies)


def _whole_number(text: object) -> object:
    """A number as a query may have it: ASCII digits, no sign."""
    if not isinstance(text, str):
        return text  # the default
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise PydanticCustomError("expected_integer", "not a whole number")
    return int(text)


DIGITS = BeforeValidator(_whole_number)


async def cancel_on_disconnect(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await work, and cancel it when the client disconnects.

    Raises:
        Cancelled: The client has disconnected.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=DISCONNECT_CHECK_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise Cancelled
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved: it may have failed just as the client left
