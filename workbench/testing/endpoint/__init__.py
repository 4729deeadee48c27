"""The parts of :class:`workbench.testing.mock_endpoint.MockEndpoint`: an OpenAI-compatible server with faults to order.

Knows nothing of the client in :mod:`workbench.endpoint`: it speaks HTTP on a real socket, and any client may come.
"""
