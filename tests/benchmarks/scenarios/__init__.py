"""One module for each thing that is measured."""

from tests.benchmarks.scenarios import call_counts, create_time, sessions

SCENARIOS = (call_counts.SCENARIO, create_time.SCENARIO, sessions.SCENARIO)
