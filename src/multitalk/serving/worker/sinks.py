"""Where a worker's video goes: into the media store of a job's source, or its stream."""

from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from multitalk.delivery.deliver import reply_bytes
from multitalk.errors import DeliveryFailed
from multitalk.job import FinishedTalk, VideoSink
from multitalk.job.progress import JobProgress
from multitalk.media.thumbnail import write_video_thumbnail
from multitalk.serving.worker.job_source import SourceClient
from multitalk.speech.captions import write_captions


class MediaStoreSink(VideoSink):
    """The source's media: the video, its first picture and its captions, by their names there.

    Args:
        client: Of the job's source.
        max_bytes: Size up to which a reply may hold the video, if it must.
        is_streamed: Whether fragments are wanted while it is encoded.
    """

    def __init__(self, client: SourceClient, *, max_bytes: int | None, is_streamed: bool) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self.on_fragment = client.send_fragment if is_streamed else None

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        video, limit = talk.file, self._max_bytes
        size = reply_bytes(video)
        if limit is not None and size > limit:
            raise DeliveryFailed("reply_cannot_hold", field="delivery.type", size=size, limit=limit)
        self._client.wait_until_sent()
        with progress.stage("deliver", video.stat().st_size):
            put = self._client.put
            fields = {
                "video": put(video),
                "frame": put(write_video_thumbnail(video, video.with_suffix(".jpg"))),
            }
            if talk.captions:
                captions = write_captions(talk.captions, video.with_suffix(".json"))
                fields["captions"] = put(captions)
        return replace(talk, output_fields=fields)

    @override
    def close(self) -> None:
        self._client.close()


class StreamSink(VideoSink):
    """The source's stream: fragments while the video is encoded, then a record of the talk.

    Args:
        client: Of the job's source.
    """

    def __init__(self, client: SourceClient) -> None:
        self._client = client
        self.on_fragment = client.send_fragment

    @override
    def path(self, directory: Path) -> None:
        return None

    @override
    def deliver(self, talk: FinishedTalk, progress: JobProgress) -> FinishedTalk:
        self._client.send_record({"status": "success", **talk.facts()})
        return talk

    @override
    def close(self) -> None:
        self._client.close()
