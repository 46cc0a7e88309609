"""Table 2: random tabular MDPs."""
