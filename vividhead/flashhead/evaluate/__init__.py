"""The same ruler for data and model: a talk, recorded or generated, graded by the scores that curate footage.

checkpoint ─ held_out_talks ─▶ mp4 ─┐
                                    ├─ watch ─▶ Watched ─ grade ─▶ Grade ─▶ Report ─▶ evaluation.json, page
video ──────────────────────────────┘
"""
