"""TiTok, TA-TiTok and One-D-Piece."""
