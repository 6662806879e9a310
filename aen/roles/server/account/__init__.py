"""Account: who people are, how they come in, and what ends that."""
