"""Synthetic people and the trainers of the project's own networks."""
