"""Live sessions of the server: each is an avatar in a process of its own (docs/live.md).

messages          what the server and a session's process send each other; the frame for clients
session_process   the process: `python -m multitalk.serving.live.session_process`
session_pool      starts and ends the processes, as many as the processor carries
"""
