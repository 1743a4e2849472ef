"""Foreign matter: its bodies, and what the words of a prompt say it is."""
