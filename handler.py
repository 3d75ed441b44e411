"""RunPod's door: `python -u handler.py` is the worker.

Try it without RunPod:

    python handler.py --test_input '{"input": {"prompt": "...", "image_path": "...", ...}}'
"""

from multitalk.serving.runpod_worker import main

if __name__ == "__main__":  # the SDK's heartbeat process may import this file again
    main()
