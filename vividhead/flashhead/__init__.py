"""FlashHead, the real-time talking-head generator: what it is (`model`) and how it speaks (`generate`)."""
