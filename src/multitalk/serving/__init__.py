"""Entry points of jobs: Python, the HTTP server, workers."""
