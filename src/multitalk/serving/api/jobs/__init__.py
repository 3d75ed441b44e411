"""Jobs at the server: their bodies, submission, replies, estimates and webhooks."""
