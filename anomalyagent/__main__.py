"""`python -m anomalyagent` is the console script."""

from anomalyagent.cli import main

main()
