"""`rankserve bench`: a load generator for any rankserve server. Needs the `bench` extra."""
