"""The self-hosted HTTP API: RunPod's endpoint protocol, and what a web page needs beside it."""
