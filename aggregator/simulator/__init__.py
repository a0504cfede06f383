"""Stateful stand-ins of both providers on loopback, in a process of their own.

They share no code with what they test: standard library and web server only, and nothing of `core` or
`providers`.
"""

from aggregator.simulator.process import Running, start
from aggregator.simulator.serve import main

__all__ = ["Running", "main", "start"]
