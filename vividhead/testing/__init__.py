"""Makers of footage with known truth, for the demo and for tests; needs `pip install 'vividhead[demo]'`."""
