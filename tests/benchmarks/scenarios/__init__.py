"""One module for each thing that is measured."""

from tests.benchmarks.scenarios import (
    bulk_read,
    call_counts,
    create_time,
    hung_vcenter,
    idle_memory,
    many_machines,
    noticing,
    sessions,
    spread,
)

SCENARIOS = (
    call_counts.SCENARIO,
    create_time.SCENARIO,
    sessions.SCENARIO,
    noticing.SCENARIO,
    many_machines.SCENARIO,
    spread.SCENARIO,
    bulk_read.SCENARIO,
    idle_memory.SCENARIO,
    hung_vcenter.SCENARIO,
)
