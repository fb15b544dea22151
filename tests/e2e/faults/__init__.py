"""Whatever can go wrong at a call, at each kind of call: what becomes of a Machine or a Cluster, and what it says."""
