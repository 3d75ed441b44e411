"""A source named by the caller becomes a file we own, or an error that says why."""
