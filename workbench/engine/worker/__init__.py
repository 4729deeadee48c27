"""The tuned engine in a process of its own, so that whatever llama.cpp does, the kernel lives.

``engine`` is the face, ``supervisor`` keeps a process at work and knows what to do when one dies, ``process`` is the
life of one, ``child`` is what runs in it. They speak JSON lines over two pipes (``protocol``). Knows the tuned engine
by its calls and its tickets only; never what a scheduler or a context is.
"""
