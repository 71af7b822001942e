"""Trackers: where tickets live. One folder each."""
