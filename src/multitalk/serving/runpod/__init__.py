"""RunPod's door: one job at a time from RunPod's queue, by RunPod's own SDK.

    process     main: settings, engine, then the SDK until the platform says stop
    fitness     what must work before the first job is asked for
    worker      jobs to answers: the engine in its own thread, and what to do if it does not stop
    task        one job there, and what it answers
    stream      pieces of a video on their way while it is rendered
    progress    how far the job is, at most once a second
    outbox      what is posted, as JSON that any parser reads, and how long it is tried
    scaler      the SDK's loops, made patient: no storms, no lost results, a quick end
    trial       one job without RunPod: `python handler.py`
    heartbeat   the SDK's second process, which must not outlive this one

What the SDK (1.12.0) would do by itself, what is done instead and the test of it: docs/runpod.md.
"""
