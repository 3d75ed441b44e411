"""The engines: each turns a scene into frames, and none knows another."""
