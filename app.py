"""WSGI entry for gunicorn: creates the Flask app, nothing else."""

from vmjira.webapp import web_app

app = web_app()
