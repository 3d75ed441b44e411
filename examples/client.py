"""Ask an endpoint for a talking portrait, wait for the video, and save it.

An endpoint is RunPod's, or your own server's (`multitalk serve`): both speak the same protocol.
Nothing but Python's standard library is needed.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

EXAMPLES = """\
examples:
  on RunPod; the key is one of your account's, the endpoint's id is in the console:
    export RUNPOD_API_KEY=...
    python examples/client.py ENDPOINT me.jpg --text "Hello." -o talk.mp4
  on a server of your own, with any name as the endpoint's; RUNPOD_API_KEY is one of
  `multitalk keys add`, if the server has keys:
    multitalk serve
    python examples/client.py talks me.jpg --audio voice.wav --url http://127.0.0.1:8000/v2

exit code: 0 if the video is saved, 1 if there is none, 2 for a wrong option, 130 after Ctrl-C,
which also cancels the job. What is wrong is a sentence on stderr.
"""
RUNPOD = "https://api.runpod.ai/v2"
OWN = "http://127.0.0.1:8000/v2"
KEY_VARIABLE = "RUNPOD_API_KEY"
POLL_SECONDS = 2.0
ANSWER_SECONDS = 60.0  # for one answer
OUTAGE_SECONDS = 120.0  # for which a job's status may be out of reach
MAX_BODY_BYTES = 10_000_000  # what RunPod takes
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")
BUSY = (408, 425, 429, 500, 502, 503, 504)  # worth another try


class Failure(Exception):
    """What went wrong, as a sentence; `again` if another try may go well."""

    def __init__(self, said: str, *, again: bool = False) -> None:
        super().__init__(said)
        self.again = again


class Endpoint:
    """One endpoint, at RunPod or wherever its protocol is spoken."""

    def __init__(self, endpoint_id: str, *, key: str, base_url: str) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise Failure(f"--url {base_url}: it begins with http:// or https://, as {OWN} does")
        if not (key.isascii() and key.isprintable()):  # the library's own error would show it
            raise Failure(f"{KEY_VARIABLE} has characters that no key has")
        self._base_url = base_url.rstrip("/")
        self._id = endpoint_id
        self._key = key

    def run(self, job_input: dict[str, object]) -> str:
        """Queue a job; its id."""
        return str(self._call("POST", "run", {"input": job_input})["id"])

    def status(self, job_id: str) -> dict[str, Any]:
        """How the job is."""
        return self._call("GET", f"status/{job_id}")

    def cancel(self, job_id: str) -> None:
        """Take the job back."""
        self._call("POST", f"cancel/{job_id}")

    def wait(self, job_id: str, *, seconds: float) -> dict[str, Any]:
        """The job's last status, telling its progress on stderr."""
        ends = reached = time.monotonic()
        ends += seconds
        shown = ""
        while True:
            try:
                job = self.status(job_id)
                reached = time.monotonic()
            except Failure as failure:
                if not failure.again or time.monotonic() > reached + OUTAGE_SECONDS:
                    raise Failure(f"job {job_id}: {failure}") from failure
                say(f"trying again: {failure}")
            else:
                if job["status"] in FINAL:
                    return job
                if (now := progress_of(job)) != shown:
                    say(shown := now)
            if time.monotonic() > ends:
                raise Failure(f"job {job_id} has not ended within {seconds:g} s (--wait)")
            time.sleep(POLL_SECONDS)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        url = f"{self._base_url}/{urllib.parse.quote(self._id, safe='')}/{path}"
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            request = urllib.request.Request(  # noqa: S310 - the address is the user's own
                url,
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers=headers,
            )
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                record = json.load(answer)
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise Failure(
                f"{self._base_url} does not answer: {reason_of(error)}. --url names another "
                "address; `multitalk serve` starts a server of your own",
                again=True,
            ) from error
        except ValueError as error:
            raise Failure(
                f"{self._base_url} is no endpoint's address: {error}; one is such as {OWN} (--url)"
            ) from error
        if not isinstance(record, dict) or not {"id", "status"} <= record.keys():
            raise Failure(
                f"{self._base_url} does not answer as endpoints do; one is such as {OWN} (--url)"
            )
        return record

    def _refusal(self, error: urllib.error.HTTPError) -> Failure:
        """What an answer that is no success says."""
        said = sentence_in(error)
        if error.code == 401:
            hint = f"{KEY_VARIABLE} is {'not a key that it knows' if self._key else 'not set'}"
            return Failure(f"{self._base_url} wants a key, and {hint}")
        if error.code in (404, 405):
            return Failure(
                f"there is no endpoint {self._id} at {self._base_url}, or it has no such job: "
                f"{said or error.reason}. An address is such as {OWN} (--url)"
            )
        if error.code == 413:
            said = said or "the picture and the recording are too large; give addresses of them"
        return Failure(
            f"{self._base_url} answers {error.code}: {said or error.reason}",
            again=error.code in BUSY,
        )


def sentence_in(error: urllib.error.HTTPError) -> str:
    """The reason that a server gives in its answer, or nothing."""
    try:
        record = json.load(error)
    except (OSError, ValueError, http.client.HTTPException):
        return ""
    said = record.get("error") if isinstance(record, dict) else None
    return said if isinstance(said, str) else ""


def reason_of(error: Exception) -> str:
    """Why there was no answer, in a few words."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"nothing came within {ANSWER_SECONDS:g} s"
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def progress_of(job: dict[str, Any]) -> str:
    """How far a job is, such as `IN_PROGRESS: render 20 of 96`."""
    output = job.get("output")
    if not isinstance(output, dict) or "stage" not in output:
        return str(job["status"])
    amount = f" {output['done']:g} of {output['total']:g}" if output.get("total") else ""
    return f"{job['status']}: {output['stage']}{amount}"


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(f"{text}\n")


def source_of(given: str) -> str:
    """A file as a job's input can carry it, a data URI; an address as it is."""
    if given.startswith(("http://", "https://", "data:")):
        return given
    try:
        content = Path(given).expanduser().read_bytes()
    except OSError as error:
        raise Failure(f"{given}: {error.strerror}") from error
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def input_of(options: argparse.Namespace) -> dict[str, object]:
    """The job that the options describe."""
    if options.text is not None:
        voice: object = {"text": options.text}
        if options.language:
            voice = {"text": options.text, "language": options.language}
    else:
        voice = source_of(options.audio)
    given: dict[str, object] = {
        "prompt": options.prompt,
        "image_path": source_of(options.portrait),
        "audio_paths": {"person1": voice},
    }
    if (size := len(json.dumps(given))) > MAX_BODY_BYTES:
        raise Failure(
            f"picture and voice are {size / 1e6:.1f} MB as text, and {MAX_BODY_BYTES / 1e6:g} MB "
            "are taken: send smaller ones, or give addresses (https://...) in their place"
        )
    return given


def save_video(output: Any, path: Path) -> None:
    """Keep the video of a job's output, which is in it or at an address: whole, or not at all."""
    result = output if isinstance(output, dict) else {}
    url = str(result.get("video_url", ""))
    if "video_path" in result:
        raise Failure(f"the video is on the endpoint's volume: {result['video_path']}")
    if "video_base64" not in result and not url.startswith(("http://", "https://")):
        raise Failure(f"the job has ended without a video; its output: {str(output)[:200]}")
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            if url:
                with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                    shutil.copyfileobj(answer, file)
            else:
                file.write(base64.b64decode(result["video_base64"]))
        part.replace(path)
    except (OSError, ValueError, http.client.HTTPException) as error:
        where = f"; it is at {url}" if url else ""
        raise Failure(f"{path} could not be saved: {reason_of(error)}{where}") from error
    finally:
        part.unlink(missing_ok=True)


def talk(options: argparse.Namespace) -> None:
    """Send the job, wait for it, save its video."""
    output = options.output = options.output.expanduser()
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise Failure(f"{output} cannot be written: choose another place with --output")
    endpoint = Endpoint(
        options.endpoint, key=os.environ.get(KEY_VARIABLE, ""), base_url=options.url
    )
    job_id = endpoint.run(input_of(options))
    try:
        job = endpoint.wait(job_id, seconds=options.wait)
    except KeyboardInterrupt:
        say(f"cancelling job {job_id}")
        with contextlib.suppress(Failure):
            endpoint.cancel(job_id)
        raise
    if job["status"] != "COMPLETED":
        raise Failure(f"{job['status']}: {job.get('error') or 'no reason was given'}")
    for warning in (job.get("output") or {}).get("warnings", []):
        say(f"note: {warning}")
    save_video(job.get("output"), output)


def parse_options() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("endpoint", help="the endpoint's id; on a server of your own any name")
    parser.add_argument("portrait", help="a picture with one face: a file, or an address")
    voices = parser.add_mutually_exclusive_group(required=True)
    voices.add_argument("--text", help="what the person says")
    voices.add_argument(
        "--audio", help="a recording of what the person says: a file, or an address"
    )
    parser.add_argument("--language", help="of the text, such as en or ko")
    parser.add_argument("--prompt", default="A person talks to the camera.", help="the scene")
    parser.add_argument(
        "--output", "-o", type=Path, default=Path("talk.mp4"), help="where to save the video"
    )
    parser.add_argument("--url", default=RUNPOD, help="where endpoints are (default: %(default)s)")
    parser.add_argument(
        "--wait", type=float, default=3600.0, metavar="SECONDS", help="how long (default: an hour)"
    )
    return parser.parse_args()


def end(text: str, code: int) -> NoReturn:
    """Say why there is no video."""
    say(text)
    sys.exit(code)


def main() -> None:
    """Read the command line and do it."""
    options = parse_options()
    try:
        talk(options)
    except Failure as failure:
        end(str(failure), 1)
    except KeyboardInterrupt:
        end("stopped", 130)
    sys.stdout.write(f"{options.output}\n")


if __name__ == "__main__":
    main()
