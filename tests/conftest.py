"""What tests of several kinds share: a test bed, one for each pytest-xdist worker, and no time limits."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from testbed import Options, TestBed

# A busy machine takes longer for an example than Hypothesis allows by default.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


@pytest.fixture(scope="session")
def test_bed() -> Iterator[TestBed]:
    """Return a running test bed with a datastore cluster; it is built on first use, which takes its time."""
    with TestBed(Options(pods=1)) as bed:
        yield bed
