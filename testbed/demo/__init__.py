"""`python -m testbed.demo`: the operator at work on the test bed, as a live view or as a list of checks."""
