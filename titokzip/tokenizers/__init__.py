"""The tokenizers: one folder per family, each with its configuration, network and checkpoints.

`protocol` says what a tokenizer offers to the codec; `registry` finds a family by name.
"""
