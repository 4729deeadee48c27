"""Requests to batches: who runs, where, with how many cells; and the thread that owns it all."""
