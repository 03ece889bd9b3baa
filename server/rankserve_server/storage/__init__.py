"""Models that lie in a store: their mirror in a cache on this machine, which the server then serves as a directory."""
