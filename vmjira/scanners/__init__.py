"""Scan files, whatever the scanner, as frames."""
