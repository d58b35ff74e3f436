"""Tests of vividhead/weights."""
