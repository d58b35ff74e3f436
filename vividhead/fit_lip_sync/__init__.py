"""Fit the lip-sync map on labelled footage, and tell what it is worth on speakers it has not seen.

    talks ─▶ coefficients ─▶ held_out        footage.csv to clips, clips to a map, the map's figures

Run it as `python -m vividhead.fit_lip_sync`; docs/lip-sync.md has the shipped map's figures.
"""
