"""Faults on purpose: footage to curate, units of work that go wrong as a plan says, and runs that are killed."""
