"""What is computed: pure functions on polars frames and frozen values. No I/O, no clock, no logging."""
