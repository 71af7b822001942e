"""vmjira: vulnerability tickets that stay true."""
