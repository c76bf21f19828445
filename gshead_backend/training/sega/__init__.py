"""How method ``sega`` is trained: its stages, one task each."""
