"""StarPO and TRICO: reinforcement learning of language models over multi-turn episodes."""

__version__ = "0.1.0"
