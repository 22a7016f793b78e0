"""R2D2: recurrent sequence replay and the agents that learn from it."""

__version__ = "0.1.0"
