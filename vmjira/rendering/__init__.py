"""Ticket text, reports and pictures: everything that people read of a ticket."""

from vmjira.rendering.chart import png, svg
from vmjira.rendering.renderer import Renderer
from vmjira.rendering.templates import check_templates

__all__ = ["Renderer", "check_templates", "png", "svg"]
