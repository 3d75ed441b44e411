"""`multitalk doctor`: what works on this machine, and what to do about the rest."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from multitalk.cli.console import EXIT_WORKER_ERROR, answering, print_json
from multitalk.errors import MultiTalkError
from multitalk.settings import Settings
from multitalk.timebase import FPS, SAMPLE_RATE

if TYPE_CHECKING:
    from multitalk.weights.component_files import ComponentFiles

PACKAGES = ("av", "numpy", "opencv-python-headless", "pillow", "pydantic")
OPTIONAL_PACKAGES = {
    "espeakng-loader": "texts cannot be spoken; pip install espeakng-loader==0.2.4",
    "py3langid": "texts in Latin letters without everyday words are read as English; "
    "pip install py3langid",
    "pyopenjtalk-plus": "Japanese is read in kana only; pip install 'pyopenjtalk-plus<0.5'",
    "runpod": "no RunPod worker here; pip install runpod==1.12.0",
    "c2pa-python": "videos say that they are AI-generated, but are not signed; "
    "pip install c2pa-python",
    "botocore": "results cannot go to a bucket; pip install botocore",
}
OLDEST, OLDEST_WITH_DIFFUSERS = (3, 10), (3, 11)  # Python
MIN_MEMORY = 2 * 2**30  # bytes
SELF_TEST_FRAMES = FPS  # a second

SIGNS = {True: ("ok", "green"), False: ("no", "red"), None: ("-", "yellow")}


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        name: Of the thing.
        works: None where it is not needed.
        said: The finding, and the remedy if it does not work; a field of `doctor --json`.
    """

    name: str
    works: bool | None
    said: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what works on this machine, and what to do about the rest.

    Ends with a test: a second of video of a drawn face. Exit code 1 if something needed is missing.

    [bold]Example[/bold]

    multitalk doctor
    """
    findings = []
    with answering(as_json=as_json):
        for finding in _examine():
            findings.append(finding)
            if not as_json:
                sign, color = SIGNS[finding.works]
                typer.secho(f"{sign:>3}  ", fg=color, nl=False)
                typer.echo(f"{finding.name:<24}{finding.said}")
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.works is False for finding in findings):
        raise typer.Exit(EXIT_WORKER_ERROR)


def _examine() -> Iterator[Diagnosis]:
    settings = Settings.from_env()
    yield _python()
    yield from map(_package, PACKAGES)
    for name, loss in OPTIONAL_PACKAGES.items():
        found = _package(name)
        yield found if found.works else Diagnosis(name, None, f"not installed: {loss}")
    yield _face_models()
    yield _voices()
    yield _speech_service(settings)
    yield _machine()
    yield _memory()
    yield _disk(settings)
    yield _gpu()
    yield from _weights(settings)
    yield find_server(settings)
    yield _self_test()


def _python() -> Diagnosis:
    given = sys.version_info[:2]
    said = platform.python_version()
    if given < OLDEST:
        said += ": 3.10 or newer is needed"
    elif given < OLDEST_WITH_DIFFUSERS:
        said += "; the diffusion engine needs 3.11 or newer"
    return Diagnosis("Python", given >= OLDEST, said)


def _package(name: str) -> Diagnosis:
    try:
        return Diagnosis(name, True, version(name))
    except PackageNotFoundError:
        return Diagnosis(name, False, f"not installed: pip install {name}")


def _face_models() -> Diagnosis:
    from multitalk.face.detector import detect_faces
    from multitalk.job.self_test import PORTRAIT_PIXELS, draw_face

    try:
        found = detect_faces(draw_face(PORTRAIT_PIXELS))
    except MultiTalkError as error:
        return Diagnosis("face models", False, error.text())
    works = len(found) == 1
    return Diagnosis("face models", works, "find a drawn face" if works else "find no drawn face")


def _voices() -> Diagnosis:
    from multitalk.speech.espeak import list_languages, list_voices

    try:
        said = f"{len(list_languages())} languages, {len(list_voices())} voices"
    except MultiTalkError as error:
        return Diagnosis("speech synthesis", None, error.text())
    return Diagnosis("speech synthesis", True, said)


def _speech_service(settings: Settings) -> Diagnosis:
    """Of the operator, for voices named tts:NAME."""
    from multitalk.speech.voice_catalogue import service_voices

    name = "speech service"
    if settings.speech_url is None:
        return Diagnosis(name, None, "none: voices named tts:NAME need MULTITALK_SPEECH_URL")
    host = urlsplit(settings.speech_url).netloc
    try:
        found = service_voices(settings)
    except MultiTalkError as error:
        return Diagnosis(name, False, f"{host}: {error.text()}")
    count = "lists no voices, takes their names" if found is None else f"{len(found)} voices"
    return Diagnosis(name, True, f"{host}: {count}")


def _machine() -> Diagnosis:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Diagnosis("processor", True, f"{platform.machine()}, {cores} cores")


def _memory() -> Diagnosis:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    enough = size >= MIN_MEMORY
    return Diagnosis(
        "memory", enough, f"{size / 2**30:.1f} GB" + ("" if enough else ": 2 GB needed")
    )


def _disk(settings: Settings) -> Diagnosis:
    from multitalk.job.self_test import disk_needed

    directory = settings.work_directory
    if not directory.is_dir():
        return Diagnosis("work directory", False, f"{directory} is missing: make it")
    free, needed = shutil.disk_usage(directory).free, disk_needed(settings)
    said = f"{free / 2**30:.1f} GB free in {directory}"
    enough = free >= needed
    return Diagnosis(
        "work directory", enough, said + ("" if enough else f": {needed / 2**30:.1f} GB needed")
    )


def _ask_gpus(about: str, form: str) -> list[str]:
    """One line of NVIDIA's own tool for each GPU; none where there is no GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, f"--query-gpu={about}", f"--format=csv,{form}"]
    asked = subprocess.run(  # noqa: S603 - NVIDIA's own tool
        command, capture_output=True, text=True, timeout=10, check=True
    )
    return asked.stdout.splitlines()


def _free_gpu_bytes() -> int:
    """Free memory of the fullest GPU; 0 where none answers."""
    try:
        return min(map(int, _ask_gpus("memory.free", "noheader,nounits")), default=0) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def _gpu() -> Diagnosis:
    try:
        listed = "; ".join(_ask_gpus("name,memory.total", "noheader")) or "none"
    except (OSError, subprocess.SubprocessError):
        listed = "nvidia-smi does not answer"
    torch = "torch installed" if find_spec("torch") else "torch not installed"
    return Diagnosis("GPU", None, f"{listed}, {torch}: the warp engine needs neither")


def _weights(settings: Settings) -> Iterator[Diagnosis]:
    """Of the diffusion engine, and where they find room."""
    from multitalk.weights.component_files import CheckpointMismatch, find_components
    from multitalk.weights.directory_search import find_weights_directory

    directory = settings.weights or find_weights_directory(settings)
    if directory is None:
        said = "none found: warp needs none; `multitalk fetch` gets those of the diffusion engine"
        yield Diagnosis("weights", None, said)
        return
    try:
        files = find_components(directory, settings.weight_set)
    except CheckpointMismatch as error:
        yield Diagnosis("weights", False, f"{directory}: {'; '.join(error.problems)}")
        return
    found = f"{files.weight_set} ({files.kind}) in {directory}"
    damaged = files.damaged()
    if damaged:
        yield Diagnosis("weights", False, f"{found}: {'; '.join(damaged)}")
        return
    yield Diagnosis("weights", True, found)
    yield _memory_plan(settings, files)


def _memory_plan(settings: Settings, files: "ComponentFiles") -> Diagnosis:
    """Memory of a GPU and of this machine for the weights, by their files' headers."""
    from multitalk.engines.diffusion.host_memory import available_bytes
    from multitalk.engines.diffusion.memory_plan import GIB, PLANS, MemoryBudget, VaeDtype
    from multitalk.engines.diffusion.network_sizes import network_bytes
    from multitalk.engines.diffusion.resolution_buckets import (
        BUCKETS,
        DEFAULT_RESOLUTION,
    )

    vae: VaeDtype = "float32" if settings.vae_dtype == "float32" else "bfloat16"
    sizes = network_bytes(
        files,
        float_bytes=2,
        vae_float_bytes=4 if vae == "float32" else 2,
        loras=[lora.path for lora in settings.loras],
    )
    free = _free_gpu_bytes()
    budget = MemoryBudget(sizes, free, vae, available_bytes())
    if not free:
        least = [budget.needed(PLANS[-1], resolution) / GIB for resolution in BUCKETS]
        most = [budget.needed(PLANS[0], resolution) / GIB for resolution in BUCKETS]
        said = f"no GPU; 480p takes {least[0]:.1f} GiB of one at least, {most[0]:.1f} with all "
        said += f"weights on it, 720p {least[1]:.1f} and {most[1]:.1f}"
        return Diagnosis("memory plan", None, said)
    named = [plan for plan in PLANS if plan.name == settings.memory_plan]
    plan = (*named, *budget.plans())[0]
    enough = budget.fits(plan, DEFAULT_RESOLUTION) and budget.has_host(plan)
    return Diagnosis("memory plan", enough, f"{plan}: {budget.summary()}; {budget.host(plan)}")


def find_server(settings: Settings) -> Diagnosis:
    """Of `multitalk serve`: what it has on this machine, and where."""
    from multitalk.serving.api.access.keys import open_keys
    from multitalk.serving.api.data_directory import (
        former_directories,
        is_in_use,
    )

    if find_spec("uvicorn") is None:
        return Diagnosis("server", None, "not installed: pip install '.[serve]'")
    place = settings.server_directory
    try:
        keys = len(open_keys(place).records())
    except (OSError, ValueError, TypeError) as error:
        return Diagnosis("server", False, f"the keys in {place} cannot be read: {error}")
    if not place.is_dir():
        said = f"`multitalk serve` will keep its keys, jobs and videos in {place}"
    else:
        said = "runs" if is_in_use(place) else "does not run"
        said += f"; {keys} {'key' if keys == 1 else 'keys'}; in {place}"
    for former in former_directories(place):
        said += f"; {former} has those of an earlier version: multitalk serve --data {former}"
    return Diagnosis("server", is_in_use(place) or None, said)


def _self_test() -> Diagnosis:
    from multitalk.job.self_test import PORTRAIT_PIXELS, PROMPT, draw_face, hum
    from multitalk.local.studio import Studio

    try:
        with Studio() as studio, tempfile.TemporaryDirectory(prefix="multitalk-") as name:
            portrait, voice = draw_face(PORTRAIT_PIXELS), (hum(SELF_TEST_FRAMES), SAMPLE_RATE)
            started = time.monotonic()
            result = studio.render(portrait, voice, PROMPT, Path(name, "talk.mp4"))
            seconds = time.monotonic() - started
    except MultiTalkError as error:
        return Diagnosis("self-test", False, error.text())
    said = f"{result.duration_seconds:g} s of H.264 and AAC video in {seconds:.1f} s"
    return Diagnosis("self-test", True, f"{said}, engine {result.engine} (what auto takes here)")
