"""Work that is not done twice: sequences in the context, in host memory and on disk. Knows no requests."""
