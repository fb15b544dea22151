"""What people write: one pydantic model file a kind, and the CRDs that are made from them."""
