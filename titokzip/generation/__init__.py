"""Generators: networks over the tokens of a tokenizer, and how tokens are sampled.

`maskgit` fills in masked tokens, as TiTok's generators do; `autoregressive` goes from the first
token to the last, for tokens in an order of importance.
"""
