"""Which network fits a budget: the space, the race, its statistics and its record."""
