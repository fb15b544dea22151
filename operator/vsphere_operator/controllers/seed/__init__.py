"""A Seed offers datacenters; each is checked against its vCenter."""
