"""The protocols of other servers, for clients that speak them. They convert, and ask for what `Rank` asks for."""
