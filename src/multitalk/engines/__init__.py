"""The engines: each renders a scene as frames; they do not import each other."""
