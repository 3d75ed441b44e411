"""RunPod's door: `python -u handler.py` is the worker.

Try it without RunPod:

    python handler.py --test_input '{"input": {"prompt": "...", "image_path": "...", ...}}'
"""

from multitalk.serving.runpod.process import main

if __name__ == "__main__":
    main()
