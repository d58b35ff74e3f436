"""Tests of vividhead.audit, a module each."""
