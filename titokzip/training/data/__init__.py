"""Training data: where images lie, in which order they come, and batches of them.

`sources` lists folders and tar shards, `order` draws from them without reading them whole,
`images` decodes and crops, `loader` makes batches in worker processes, `tokens` makes batches of
stored tokens.
"""
