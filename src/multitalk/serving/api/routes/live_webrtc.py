"""`/v1/live/webrtc`: live sessions over WebRTC, without a media server (docs/live.md).

An offer is posted and an answer comes back, as in WHIP (RFC 9725), with JSON around them.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from multitalk.errors import MultiTalkError
from multitalk.schema.validation import one_error
from multitalk.serving.api.dependencies import Owner, rate_limit
from multitalk.serving.api.json_body import BodyReader, JsonBody
from multitalk.serving.api.live.client import LiveClient
from multitalk.serving.api.live.conversation import error_message
from multitalk.serving.api.live.models import MAX_OFFER_CHARACTERS, WebRtcOffer
from multitalk.serving.api.live.session import open_session
from multitalk.serving.api.models import SpeechError, WebRtcAnswer
from multitalk.serving.api.openapi import BodyRoute, refusals
from multitalk.serving.api.responses import json_response
from multitalk.serving.api.services import Services, services_of
from multitalk.serving.live.webrtc_peer import (
    OPUS_RATE,
    PeerLeft,
    check_webrtc,
    starting_peer,
)

PATH = "/v1/live/webrtc"
MAX_BODY_BYTES = 2 * MAX_OFFER_CHARACTERS

offer_body = JsonBody(
    WebRtcOffer,
    example={"type": "offer", "sdp": "v=0\r\n...", "size": 512},
    max_bytes=lambda _: MAX_BODY_BYTES,
)

router = APIRouter(tags=["Live"], route_class=BodyRoute)


@router.post(
    PATH,
    summary="Open a live session over WebRTC",
    status_code=201,
    response_model=WebRtcAnswer,
    responses=refusals(400, 404, 413, 415, 429, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def offer(request: Request, body: Annotated[BodyReader, Depends(offer_body)]) -> Response:
    """Needs the extra `live-webrtc`. `Location` is the session's address: DELETE ends it."""
    check_webrtc()
    given = await body.read()
    try:
        offered = WebRtcOffer.model_validate(given)
    except ValidationError as error:
        names = list(WebRtcOffer.model_fields)
        raise one_error(error.errors(include_url=False), known_fields=lambda _: names) from error
    services, client = services_of(request), LiveClient.of(request)
    converse = partial(_converse, services, client, offered)
    session_id, answer = await services.webrtc.open(client.owner, converse)
    headers = {"Location": f"{PATH}/{session_id}"}
    if links := [one.link() for one in services.settings.ice_servers]:
        headers["Link"] = ", ".join(links)
    return json_response({"type": "answer", "sdp": answer}, status=201, headers=headers)


@router.delete(
    PATH + "/{session_id}",
    summary="End a live session over WebRTC",
    status_code=204,
    responses=refusals(404, 429, model=SpeechError),
    dependencies=[rate_limit("other")],
)
async def end(request: Request, owner: Owner, session_id: str) -> Response:
    """Also a connection that ends, ends its session."""
    await services_of(request).webrtc.end(session_id, owner)
    return Response(status_code=204)


async def _converse(
    services: Services, client: LiveClient, offered: WebRtcOffer, answered: asyncio.Future[str]
) -> None:
    """One session, until its client leaves."""
    services.live.check_room()  # before a process is started for it
    async with starting_peer() as starting:
        answering = asyncio.create_task(
            starting.answer(
                offered.sdp,
                ice_servers=[one.rtc() for one in services.settings.ice_servers],
                loopback=services.config.is_loopback,
            )
        )
        try:
            async with open_session(services, offered, client.owner, profile="Baseline") as session:
                peer = await answering
                answered.set_result(peer.answer)
                with suppress(PeerLeft):
                    try:
                        await client.converse(services, session, peer, offered, rate=OPUS_RATE)
                    except MultiTalkError as error:
                        await peer.send(error_message(error, client.locale))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
