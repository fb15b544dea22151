"""What the operator costs and how fast it is, measured on the test bed: `make bench`.

Counts are exact. Times are those of one machine with everything on it, so they are medians and comparisons
within one run.
"""
