"""The worker with the fake engine, slow enough to be watched and stopped."""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_engine import FakeEngine
from multitalk.serving.runpod_worker import serve
from multitalk.settings import Settings

if __name__ == "__main__":
    logging.basicConfig(level="INFO")
    logging.info("engine ready")
    serve(FakeEngine(chunk_frames=5, seconds_per_chunk=0.2), Settings.from_env())
