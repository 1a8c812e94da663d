"""Which teacher helps a student most, and whether SAT can tell beforehand."""
