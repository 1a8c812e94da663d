"""How well two SAT matrices agree."""
