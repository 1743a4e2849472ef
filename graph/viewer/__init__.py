"""A local web page of runs: see, compare, review and fork trajectories; or all of it in one file to send around."""
