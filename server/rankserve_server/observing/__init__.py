"""What an operator can see of single calls: which of them are looked at, and who is told of them."""
