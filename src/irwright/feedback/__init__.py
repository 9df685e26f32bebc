"""Which plan next, given the program and what was measured so far."""
