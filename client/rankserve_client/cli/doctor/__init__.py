"""`rankserve doctor`: what is installed, reachable and loadable, and what to do about what is not."""
