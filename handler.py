"""RunPod's door: `python -u handler.py` is the worker.

Try it without RunPod: it does the job in test_input.json and leaves out/test.mp4.

    python handler.py
    python handler.py --test_input '{"input": {"prompt": "...", "image_path": "...", ...}}'
"""

try:
    from multitalk.serving.runpod.process import main
except ModuleNotFoundError as error:
    if error.name not in ("multitalk", "runpod"):
        raise
    raise SystemExit(
        f"{error.name} is not installed for this Python: pip install --constraint constraints.txt "
        "'.[speech,worker]', or use .venv/bin/python after `make test-core`"
    ) from error
except KeyboardInterrupt:
    raise SystemExit(130) from None

if __name__ == "__main__":
    main()
