"""FlexTok: ordered tokens and a rectified-flow decoder."""
