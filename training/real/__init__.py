"""Trajectories made backwards from photos of real defects (the paper's Algorithm 2)."""
