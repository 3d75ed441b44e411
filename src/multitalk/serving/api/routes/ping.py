"""`/ping`: whether a load balancer may send requests, as RunPod's asks (docs/runpod.md)."""

from fastapi import APIRouter
from starlette.responses import Response

from multitalk.errors import ServerStopping
from multitalk.serving.api.dependencies import ConfigDep, QueueDep, ShutdownDep
from multitalk.serving.api.openapi import Responses, refusals
from multitalk.serving.api.responses import json_response

RESPONSES: Responses = {
    **{status: response for status, response in refusals().items() if status != 401},
    204: {"description": "No worker is ready yet"},
}

router = APIRouter(tags=["Server"])


@router.get(
    "/ping",
    summary="Whether a load balancer may send requests",
    responses=RESPONSES,
)
async def ping(queue: QueueDep, config: ConfigDep, shutdown: ShutdownDep) -> Response:
    """200: yes. 204: no worker is ready yet, as at the start. 503: it ends, or its queue fails."""
    if shutdown.requested.is_set():
        raise ServerStopping("server_stopping")
    if config.workers and not await queue.workers():
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    return json_response({"status": "ready"})
