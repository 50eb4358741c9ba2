"""How networks run: devices, precision, batches, compilation."""
