"""The .ttk file format; docs/format.md specifies it byte by byte."""
