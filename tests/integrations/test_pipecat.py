"""The live avatar in a pipeline that Pipecat's own worker runs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="the extra `pipecat` is not installed")
from agents import STILL_FRAMES, load, longest_still, seconds_before
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from multitalk.integrations.pipecat import MultiTalkVideoService
from patience import PATIENCE_SECONDS, Attempts

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
RATE = 24_000


def speech(seconds: float) -> TTSAudioRawFrame:
    times = np.arange(round(seconds * RATE)) / RATE
    samples = (8000 * np.sin(2 * np.pi * 150 * times)).astype(np.int16)
    return TTSAudioRawFrame(samples.tobytes(), RATE, 1)


class Output(FrameProcessor):
    """Stands for the transport: keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)

    def of(self, kind: type[Frame]) -> list[Frame]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():
                await asyncio.sleep(0.02)


def run(service: MultiTalkVideoService, talk: Callable[..., object]) -> Output:
    """A pipeline of the service and an output, and what `talk(queue, output)` does with it."""

    async def main() -> Output:
        output = Output()
        worker = PipelineWorker(
            Pipeline([service, output]),
            params=PipelineParams(enable_metrics=True, send_initial_empty_metrics=False),
            cancel_on_idle_timeout=False,
        )
        started = asyncio.Event()

        @worker.event_handler("on_pipeline_started")
        async def on_started(*_: object) -> None:
            started.set()

        async def drive() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await started.wait()
            try:
                await talk(worker.queue_frame, output)
            finally:
                await worker.queue_frame(EndFrame())

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await asyncio.gather(runner.run(), drive())
        return output

    return asyncio.run(main())


def service(**options: object) -> MultiTalkVideoService:
    return MultiTalkVideoService(portrait=PORTRAIT, size=192, **options)


def test_speech_goes_on_with_its_pictures_and_its_end_after_it() -> None:
    async def talk(queue, output: Output) -> None:
        await output.until(lambda: len(output.of(OutputImageRawFrame)) > 3)  # idle, it is there
        await queue(speech(0.6))
        await queue(TTSStoppedFrame())
        await output.until(lambda: output.of(TTSStoppedFrame))

    output = run(service(), talk)
    sounds, pictures = output.of(TTSAudioRawFrame), output.of(OutputImageRawFrame)
    heard = b"".join(frame.audio for frame in sounds)
    assert heard == speech(0.6).audio
    assert {frame.size for frame in pictures} == {(192, 192)}
    assert len(pictures[0].image) == 192 * 192 * 3
    assert sum(frame.sync_with_audio for frame in pictures) == len(sounds) == 15
    end = output.frames.index(output.of(TTSStoppedFrame)[0])
    assert end > output.frames.index(sounds[-1])
    (metric,) = [each for frame in output.of(MetricsFrame) for each in frame.data]
    assert metric.processor.startswith("MultiTalkVideoService")
    assert 0 < metric.value < PATIENCE_SECONDS


def test_an_interruption_drops_the_rest_and_passes_on() -> None:
    async def talk(queue, output: Output) -> None:
        await queue(speech(20.0))
        await queue(TTSStoppedFrame())
        await output.until(lambda: len(output.of(TTSAudioRawFrame)) > 3)
        await queue(InterruptionFrame())
        await queue(speech(20.0))
        await queue(TextFrame("after it"))
        await output.until(lambda: output.of(TextFrame))
        await queue(InterruptionFrame())  # at once after the other, and overtakes what is queued
        await output.until(lambda: len(output.of(InterruptionFrame)) == 2)
        await queue(speech(0.4))
        await queue(TTSStoppedFrame())
        await output.until(lambda: output.of(TTSStoppedFrame))

    output = run(service(), talk)
    assert len(output.of(TTSStoppedFrame)) == 1  # of the last speech only
    assert len(output.of(TTSAudioRawFrame)) < 20 * 25
    assert b"".join(one.audio for one in output.of(TTSAudioRawFrame)[-10:]) == speech(0.4).audio


def test_interrupted_sound_fades_and_is_speech_no_more() -> None:
    async def talk(queue, output: Output) -> None:
        await queue(speech(20.0))
        await output.until(lambda: len(output.of(TTSAudioRawFrame)) > 3)
        await queue(InterruptionFrame())
        await output.until(lambda: rest(output))

    def rest(output: Output) -> list[Frame]:
        return [one for one in output.of(OutputAudioRawFrame) if type(one) is OutputAudioRawFrame]

    output = run(service(), talk)
    assert len(rest(output)) == 1
    assert output.of(OutputAudioRawFrame)[-1] is rest(output)[0]
    heard = b"".join(frame.audio for frame in output.of(OutputAudioRawFrame))
    steps = np.abs(np.diff(np.frombuffer(heard, np.int16).astype(int)))
    usual = np.abs(np.diff(np.frombuffer(speech(1.0).audio, np.int16).astype(int)))
    assert steps.max() <= usual.max()


def test_what_piled_up_in_a_stall_is_spoken_with_moving_pictures_and_none_of_it_is_lost() -> None:
    """Sound that comes as it is spoken, as from a network: a pile is played in real time."""
    whole = speech(4.0)
    packets = [whole.audio[start : start + 960] for start in range(0, len(whole.audio), 960)]

    async def talk(queue, output: Output) -> None:
        await output.until(lambda: output.of(OutputImageRawFrame))
        for number, packet in enumerate(packets):
            await asyncio.sleep(seconds_before(number))
            await queue(TTSAudioRawFrame(packet, RATE, 1))
        await queue(TTSStoppedFrame())
        await output.until(lambda: output.of(TTSStoppedFrame))

    def play() -> list[bytes]:
        output = run(service(), talk)
        heard = b"".join(frame.audio for frame in output.of(TTSAudioRawFrame))
        assert heard == whole.audio
        pictures = [one.image for one in output.of(OutputImageRawFrame) if one.sync_with_audio]
        assert len(pictures) == 100
        return pictures

    @Attempts(play).judge
    def _(pictures: list[bytes]) -> None:
        assert longest_still(pictures) <= STILL_FRAMES


def test_each_end_of_speech_goes_on_also_where_two_are_of_one_speech() -> None:
    async def talk(queue, output: Output) -> None:
        await output.until(lambda: output.of(OutputImageRawFrame))
        for expected in (2, 4):
            await queue(speech(0.4))
            await queue(TTSStoppedFrame())
            await queue(TTSStoppedFrame())
            await output.until(lambda expected=expected: ends(output) == expected)
        await queue(TTSStoppedFrame())  # of no speech
        await output.until(lambda: ends(output) == 5)

    def ends(output: Output) -> int:
        return len(output.of(TTSStoppedFrame))

    output = run(service(), talk)
    third = output.frames.index(output.of(TTSStoppedFrame)[2])
    assert third > output.frames.index(output.of(TTSAudioRawFrame)[-1])


def test_other_frames_pass_and_without_a_face_the_sound_goes_on() -> None:
    async def talk(queue, output: Output) -> None:
        await queue(speech(0.2))
        await queue(TextFrame("hello"))
        await output.until(lambda: output.of(TextFrame))

    grey = np.full((200, 200, 3), 90, np.uint8)
    output = run(MultiTalkVideoService(portrait=grey), talk)
    assert b"".join(frame.audio for frame in output.of(TTSAudioRawFrame)) == speech(0.2).audio
    assert not output.of(OutputImageRawFrame)


def test_the_example_can_be_loaded() -> None:
    assert callable(load("pipecat_agent").run)
