"""What tests of several kinds share: a test bed, one for each pytest-xdist worker."""

from collections.abc import Iterator

import pytest

from testbed import Options, TestBed


@pytest.fixture(scope="session")
def test_bed() -> Iterator[TestBed]:
    """Return a running test bed with a datastore cluster; it is built on first use, which takes its time."""
    with TestBed(Options(pods=1)) as bed:
        yield bed
