"""WSGI entry for gunicorn: creates the Flask app, nothing else."""

from vmjira.web import create_app

app = create_app()
