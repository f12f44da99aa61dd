"""How much of each source: UtiliMax and its peers, by source name, in whole tokens and under an epoch cap."""
