"""The tokenizer that ships with the package."""
