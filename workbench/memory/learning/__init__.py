"""Learning from feedback on what was recalled: what is known of a message, how it is weighed, what a change is worth.

Knows arrays of candidates, scores and rewards; never the log they come from, nor what ranked them first.
"""
