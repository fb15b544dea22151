"""A level-triggered engine: a store of what was seen, a queue of what to look at, and one leader that looks.

It knows neither Kubernetes' client nor vCenter; both come in through ports.
"""
