"""Token-exact conversations over any engine: fork, rewind, resume, compare."""
