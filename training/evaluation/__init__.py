"""Does it train a better detector? The paper's protocols, peers under the same command, honest tables."""
