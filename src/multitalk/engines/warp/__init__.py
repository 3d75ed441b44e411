"""The CPU engine: moves the photograph itself. No downloads, no torch, real time."""
