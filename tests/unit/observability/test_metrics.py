"""What can be read from /metrics."""

from __future__ import annotations

from vsphere_operator.observability.metrics import Metrics


def test_changes_of_others_are_counted_by_kind_and_by_what_was_done_about_them() -> None:
    metrics = Metrics()
    metrics.drift_repaired("Cluster", "FolderRemoved")
    metrics.drift_repaired("Cluster", "FolderRemoved")
    metrics.drift_reported("Machine", "PowerStateChanged")
    text = metrics.render().decode()
    assert 'vsphere_operator_drift_repairs_total{kind="Cluster",what="FolderRemoved"} 2.0' in text
    assert 'vsphere_operator_drift_reports_total{kind="Machine",what="PowerStateChanged"} 1.0' in text
