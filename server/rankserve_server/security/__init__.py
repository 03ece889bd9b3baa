"""Who may call what: TLS, tokens and their scopes, and where admin calls are taken."""
