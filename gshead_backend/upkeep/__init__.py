"""What gshead keeps on this machine: where, how much, since when; clearing it, its limits; and bug reports."""
