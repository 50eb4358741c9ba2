"""The tokenizers: one folder per family, which owns its configuration, network and checkpoints.

`protocol` says what a tokenizer offers to the codec; `registry` finds a family by name.
"""
