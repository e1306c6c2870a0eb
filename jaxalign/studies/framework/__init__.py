"""The parts that every study shares: its type, its run, its table and its result."""
