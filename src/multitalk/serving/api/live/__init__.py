"""Live sessions at the server, by WebSocket and WebRTC."""
