"""RunPod's Python client, both of its kinds, against a server; what it saw as JSON.

A process of its own: the client reads RUNPOD_ENDPOINT_BASE_URL when it is imported.
"""

import asyncio
import json
import sys

import runpod
from runpod import AsyncioEndpoint, AsyncioJob
from runpod.http_client import ClientSession


def sync_client(endpoint) -> dict:
    job = endpoint.run({"echo": 1})
    saw = {"output": job.output(timeout=200), "status": job.status()}
    saw["run_sync"] = endpoint.run_sync({"echo": 2}, timeout=200)
    saw["run_sync_failing"] = endpoint.run_sync({"error": "no face"}, timeout=200)
    saw["stream"] = list(endpoint.run({"pieces": 3}).stream())
    running = endpoint.run({"input": {"seconds": 30}, "policy": {"executionTimeout": 60_000}})
    saw["cancel"] = running.cancel()
    saw["cancelled"] = running.status()
    saw["stream_of_cancelled"] = list(running.stream())
    saw["health"] = endpoint.health()
    saw["purge"] = endpoint.purge_queue()
    failing = endpoint.run({"error": "no face"})
    while failing.status() != "FAILED":
        pass
    saw["stream_of_failed"] = list(failing.stream())
    saw["output_of_failed"] = failing.output()
    return saw


async def async_client() -> dict:
    async with ClientSession() as session:
        endpoint = AsyncioEndpoint("talk", session)
        job: AsyncioJob = await endpoint.run({"echo": 1})
        saw = {"output": await job.output(timeout=200), "status": await job.status()}
        streaming = await endpoint.run({"pieces": 3})
        saw["stream"] = [chunk async for chunk in streaming.stream()]
        failing = await endpoint.run({"error": "no face"})
        saw["output_of_failed"] = await failing.output(timeout=200)
        running = await endpoint.run({"seconds": 30})
        saw["cancel"] = await running.cancel()
        saw["stream_of_cancelled"] = [chunk async for chunk in running.stream()]
        saw["health"] = await endpoint.health() if hasattr(endpoint, "health") else None
        return saw


def refused(work) -> str:
    """Name of the error that `work` raises."""
    try:
        work()
    except Exception as error:  # the test names the one that it wants
        return type(error).__name__
    return "nothing"


def main() -> None:
    runpod.api_key = sys.argv[1]
    endpoint = runpod.Endpoint("talk")
    saw = {
        "sync": sync_client(endpoint),
        "async": asyncio.run(async_client()),
        "wrong_key": refused(lambda: runpod.Endpoint("talk", api_key="wrong").run({"echo": 1})),
    }
    json.dump(saw, sys.stdout)


if __name__ == "__main__":
    main()
