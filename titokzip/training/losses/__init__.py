"""Loss terms: what is compared, and the networks that compare it."""
