"""How a memory ranks its messages for a query: one session's index, its features, and a learned ranker.

Knows one session's snapshot and numbers; never events on disk, other sessions or which engine runs.
"""
