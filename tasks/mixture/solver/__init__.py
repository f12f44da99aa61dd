"""The convex problem behind UtiliMax, solved to a certified gap."""
