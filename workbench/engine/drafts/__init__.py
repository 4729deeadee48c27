"""Guesses of what comes next, what they cost and whether they pay. Decides nothing about truth."""
