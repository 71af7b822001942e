"""Scan files, whatever the scanner, as frames."""

from vmjira.scanners.registry import read_scan

__all__ = ["read_scan"]
