"""Caches of answers, one strategy a file.

Implements :class:`workbench.interfaces.Cache`; never knows where the answers come from. Strategies are found by name in
:data:`workbench.caches`.
"""

from workbench.caching.exact import ExactCache

__all__ = ["ExactCache"]
