"""How the database came to be what `tables` says, step by step."""
