"""The networks: video codec, audio encoder, diffusion transformer, sampler; no training, no streaming."""
