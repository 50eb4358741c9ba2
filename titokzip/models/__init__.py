"""Networks that turn pixels into tokens and back; torch only, no files and no pictures.

B pictures, N tiles, S the side of a tile, P = (S / patch)^2 patches, L tokens, K codes, D width.
"""
