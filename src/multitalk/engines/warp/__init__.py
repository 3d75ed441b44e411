"""The CPU engine: the photograph itself is moved. No downloads, no torch, real time."""
