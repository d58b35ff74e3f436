"""Networks of others that papers report: SyncNet (LSE-C, LSE-D), Inception v3 (FID), I3D (FVD). No weights shipped."""
