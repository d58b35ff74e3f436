"""Tests of vividhead.scores, a module each."""
