"""Live sessions of the server: each is an avatar in a process of its own (docs/live.md).

messages    what the server and a session's process send each other, and the frame of a client
session     the process: `python -m multitalk.serving.live.session`
sessions    starts and ends the processes, as many as the processor carries
"""
