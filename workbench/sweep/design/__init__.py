"""Which cells a sweep has, in which order: the design of the experiment. Knows neither files nor processes."""
