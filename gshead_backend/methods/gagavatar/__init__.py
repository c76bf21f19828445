"""GAGAvatar (Chu and Harada, NeurIPS 2024), written anew: one portrait, lifted to Gaussians twice.

``network`` computes, ``checkpoint`` reads the released weights, ``parity`` proves the network against the public one's
numbers. What a user can do with it today: ``docs/methods.md``. Nothing is imported here: torch loads when asked for.
"""
