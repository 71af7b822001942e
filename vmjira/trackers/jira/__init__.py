"""Jira Cloud and Jira Data Center."""

from vmjira.trackers.jira.settings import JiraSettings, Secret
from vmjira.trackers.jira.tracker import JiraTracker, connect

__all__ = ["JiraSettings", "JiraTracker", "Secret", "connect"]
