"""Table 3: visual navigation."""
