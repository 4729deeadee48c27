"""What a run leaves: the record of a notebook, the machine it ran on, and all of them as one table. Judges nothing."""
