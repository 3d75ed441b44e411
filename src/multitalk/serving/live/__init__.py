"""Live sessions of the server: each is an avatar in a process of its own (docs/live.md).

messages          what the server and a session's process send each other; the frame for clients
piped_process     a process that takes and sends such messages
session_process   the process: `python -m multitalk.serving.live.session_process`
sessions          starts and ends the processes, as many as the processor carries
process_forks     starts such processes, as forks of one that has imported what they need
forking_process   that one
webrtc_peer       a client's WebRTC connection (the extra `live-webrtc`)
peer_process      its process: `python -m multitalk.serving.live.peer_process`
peer_tracks       a session's frames as its tracks
peer_microphone   the client's sound
"""
