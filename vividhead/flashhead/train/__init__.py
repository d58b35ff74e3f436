"""Training: from a dataset's shards to a FlashHead, by flow matching and then by distillation."""
