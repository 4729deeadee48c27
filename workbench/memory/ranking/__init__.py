"""How messages are ranked for a query: words, vectors, fusion, forgetting, and a learned ranker.

Knows one session's snapshot and numbers; never events on disk, other sessions or which engine runs.
"""
