"""The stories of the product, one a module: each reads top to bottom."""
