"""Jira Cloud and Jira Data Center."""

from vmjira.trackers.jira.doctor import Check, diagnose
from vmjira.trackers.jira.names import OtherNames, names_of
from vmjira.trackers.jira.settings import JiraSettings, Secret
from vmjira.trackers.jira.tracker import JiraTracker, connect

__all__ = ["Check", "JiraSettings", "JiraTracker", "OtherNames", "Secret", "connect", "diagnose", "names_of"]
