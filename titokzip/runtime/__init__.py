"""How networks run: devices, precision, batches, tiled decoding, compilation."""
