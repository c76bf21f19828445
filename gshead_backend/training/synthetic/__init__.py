"""Seeded synthetic people: drawn, photographed by the project's own rasterizer, with everything about them known."""
