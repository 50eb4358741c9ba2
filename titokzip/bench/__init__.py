"""Measure the codec beside others, at the same bytes and under one protocol that is written down.

datasets ─ photos ─▶ run ─ rows ─▶ report ─▶ table, JSON, page
                      │
         codecs (ours and rivals), metrics, networks
"""
