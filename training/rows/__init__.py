"""Trajectories as rows and files: what training reads, what is kept, what other tools open."""
