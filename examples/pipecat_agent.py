"""A voice agent with a face, by Pipecat: pip install '.[pipecat]'.

The service stands between speech synthesis and the transport's output; choose the other parts as
for any agent. `run` is what such a bot's runner calls with them.
"""

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from multitalk.integrations.pipecat import MultiTalkVideoService


async def run(
    transport: BaseTransport, thinking: list[FrameProcessor], synthesizer: FrameProcessor
) -> None:
    """Talk until the transport closes.

    Args:
        transport: With video output: `video_out_enabled`, `video_out_is_live`, and
            `video_out_width` and `video_out_height` of 512.
        thinking: Speech recognition, context and language model.
        synthesizer: A service that sends TTSAudioRawFrame.
    """
    face = MultiTalkVideoService(portrait="examples/portrait.jpg", size=512)
    parts = [transport.input(), *thinking, synthesizer, face, transport.output()]
    runner = WorkerRunner()
    await runner.add_workers(PipelineWorker(Pipeline(parts)))
    await runner.run()
