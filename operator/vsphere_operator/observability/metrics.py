"""Metrics in Prometheus' format, named as controller-runtime's so that known dashboards and alerts fit."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
WAITS = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""Seconds, as clones that wait for clones take them."""


class Metrics:
    """All metrics of one operator. It fills the ports of queue, engine and admission, and that of the vSphere layer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._reconciles = self._counter("reconcile_total", "Reconciliations", "kind", "result")
        self._reconcile_time = self._histogram("reconcile_time_seconds", "Time of a reconciliation", "kind")
        self._busy = self._gauge("active_workers", "Reconciliations that run now")
        self._depth = self._gauge("workqueue_depth", "Keys that wait for a worker")
        self._adds = self._counter("workqueue_adds_total", "Keys put into the queue", "kind")
        self._retries = self._counter("workqueue_retries_total", "Keys put back after a failure", "kind")
        self._waits = self._histogram("workqueue_queue_duration_seconds", "Time a key waited", "kind")
        self._calls = self._counter("vcenter_calls_total", "Calls to a vCenter", "vcenter", "api", "outcome")
        self._call_time = self._histogram("vcenter_call_seconds", "Time of a call to a vCenter", "api")
        self._tokens = self._gauge(
            "vsphere_operator_admission_tokens_in_use", "Operations that hold a token", "scope", "pool"
        )
        self._waiting = self._gauge(
            "vsphere_operator_admission_waiting", "Operations that wait for a token", "scope", "pool"
        )
        self._token_waits = self._histogram(
            "vsphere_operator_admission_wait_seconds",
            "Time an operation waited for its token",
            "scope",
            "pool",
            "priority",
            buckets=WAITS,
        )
        self._refused_calls = self._counter(
            "vcenter_calls_refused_total", "Calls that were not sent", "vcenter", "api", "reason"
        )
        self._logins = self._counter("vcenter_logins_total", "Logins", "vcenter", "api", "outcome")
        self._sessions = self._gauge("vcenter_sessions", "Sessions that are open", "vcenter", "api")
        self._insecure = self._gauge(
            "vcenter_insecure", "1 while a vCenter's certificate is not verified", "vcenter"
        )
        self._circuit = self._gauge(
            "vcenter_circuit_state", "0 calls go out, 1 one call tries, 2 calls are refused", "vcenter", "api"
        )
        self._leading = self._gauge("leader_election_master_status", "1 while this process leads")
        self._objects = self._gauge("store_objects", "Objects in the store", "kind")
        self._missed = self._counter(
            "watch_missed_changes_total", "Changes that a full list found and no event told of", "kind"
        )
        self._lag = self._gauge("event_loop_lag_seconds", "Latest delay of the event loop")
        self._drift_repairs = self._counter(
            "vsphere_operator_drift_repairs_total", "Changes of others that were set right", "kind", "what"
        )
        self._drift_reports = self._counter(
            "vsphere_operator_drift_reports_total", "Changes of others that were only told of", "kind", "what"
        )
        self._watch_restarts = self._gauge("watch_restarts", "How often watching had to be started again")

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        self._reconciles.labels(kind, result).inc()
        self._reconcile_time.labels(kind).observe(seconds)

    def workers_busy(self, busy: int) -> None:
        self._busy.set(busy)

    def queue_depth(self, depth: int) -> None:
        self._depth.set(depth)

    def queue_added(self, kind: str) -> None:
        self._adds.labels(kind).inc()

    def queue_waited(self, kind: str, seconds: float) -> None:
        self._waits.labels(kind).observe(seconds)

    def queue_retried(self, kind: str) -> None:
        self._retries.labels(kind).inc()

    def observe_call(self, *, vcenter: str, api: str, outcome: str, seconds: float) -> None:
        """A call to a vCenter ended. `api` is soap, automation or files, `outcome` ok or the fault's reason.

        May be called from any thread.
        """
        self._calls.labels(vcenter, api, outcome).inc()
        self._call_time.labels(api).observe(seconds)

    def admission_in_use(self, scope: str, pool: str, tokens: int) -> None:
        self._tokens.labels(scope, pool).set(tokens)

    def admission_waiting(self, scope: str, pool: str, requests: int) -> None:
        self._waiting.labels(scope, pool).set(requests)

    def admission_waited(self, scope: str, pool: str, priority: str, seconds: float) -> None:
        self._token_waits.labels(scope, pool, priority).observe(seconds)

    def call_refused(self, *, vcenter: str, api: str, reason: str) -> None:
        self._refused_calls.labels(vcenter, api, reason).inc()

    def observe_login(self, *, vcenter: str, api: str, outcome: str) -> None:
        self._logins.labels(vcenter, api, outcome).inc()

    def session_opened(self, *, vcenter: str, api: str) -> None:
        self._sessions.labels(vcenter, api).inc()

    def session_ended(self, *, vcenter: str, api: str) -> None:
        self._sessions.labels(vcenter, api).dec()

    def insecure(self, *, vcenter: str, insecure: bool) -> None:
        self._insecure.labels(vcenter).set(1 if insecure else 0)

    def circuit(self, *, vcenter: str, api: str, state: int) -> None:
        """0: closed, 1: half-open, 2: open."""
        self._circuit.labels(vcenter, api).set(state)

    def leading(self, leads: bool) -> None:
        self._leading.set(1 if leads else 0)

    def objects(self, kind: str, count: int) -> None:
        self._objects.labels(kind).set(count)

    def missed(self, kind: str, count: int) -> None:
        self._missed.labels(kind).inc(count)

    def loop_lag(self, seconds: float) -> None:
        self._lag.set(seconds)

    def watch_restarts(self, count: int) -> None:
        self._watch_restarts.set(count)

    def drift_repaired(self, kind: str, what: str) -> None:
        self._drift_repairs.labels(kind, what).inc()

    def drift_reported(self, kind: str, what: str) -> None:
        self._drift_reports.labels(kind, what).inc()

    def render(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)
