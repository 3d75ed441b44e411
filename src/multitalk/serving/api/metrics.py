"""Figures for Prometheus, at `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from multitalk.serving.live.sessions import LiveSessions
from multitalk.serving.queue import Counts, WorkerRecord

SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)
REAL_TIME_FACTORS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 200.0)


class Metrics:
    """One server's figures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "multitalk_http_requests",
            "Requests that were answered",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "multitalk_http_seconds",
            "Time until a request was answered",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._jobs = Gauge(
            "multitalk_jobs",
            "Jobs that are remembered",
            ("status",),
            registry=self._registry,
        )
        self._workers = Gauge(
            "multitalk_workers",
            "Workers that have announced themselves",
            ("state",),
            registry=self._registry,
        )
        self._live = Gauge(
            "multitalk_live_sessions", "Live sessions that are open", registry=self._registry
        )
        self._real_time_factors = Histogram(
            "multitalk_pace",
            "Seconds of work for a second of finished talk",
            ("engine",),
            buckets=REAL_TIME_FACTORS,
            registry=self._registry,
        )
        self._webhooks = Counter(
            "multitalk_webhooks",
            "Tries to deliver a webhook",
            ("result",),
            registry=self._registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def real_time_factor(self, engine: str, factor: float) -> None:
        """Record the seconds of work for a second of talk."""
        self._real_time_factors.labels(engine).observe(factor)

    def follow_live(self, sessions: LiveSessions) -> None:
        """Report how many live sessions are open."""
        self._live.set_function(lambda: sessions.count)

    def webhook(self, result: str) -> None:
        """Count a try: `delivered`, `failed` or `given_up`."""
        self._webhooks.labels(result).inc()

    def text(self, counts: Counts, workers: list[WorkerRecord]) -> bytes:
        """All of it, with the queue's state as it is now."""
        for status in ("completed", "failed", "cancelled", "in_progress", "in_queue"):
            self._jobs.labels(status).set(getattr(counts, status))
        busy = sum(worker.job_id is not None for worker in workers)
        self._workers.labels("busy").set(busy)
        self._workers.labels("idle").set(len(workers) - busy)
        return generate_latest(self._registry)
