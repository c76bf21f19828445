"""Frames on one machine or many: rendered once, never half, by tasks that may be killed and repeated at any time."""
