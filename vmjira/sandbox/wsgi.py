"""The sandbox for gunicorn: configured by the environment, because gunicorn passes nothing else on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from flask import Flask

from vmjira.sandbox import create_app
from vmjira.sandbox.config import Flavour
from vmjira.sandbox.seed import TOKENS

DATABASE, FLAVOUR, TOKEN = "VMJIRA_SANDBOX_DATABASE", "VMJIRA_SANDBOX_FLAVOUR", "VMJIRA_SANDBOX_TOKEN"
SANDBOX = "vmjira.sandbox.wsgi:application()"  # as gunicorn finds it


def application() -> Flask:
    """The service account's token is VMJIRA_SANDBOX_TOKEN, or the made-up one of the seed."""
    tokens = {**TOKENS, "vmjira": os.environ.get(TOKEN) or TOKENS["vmjira"]}
    flavour = cast(Flavour, os.environ.get(FLAVOUR, "datacenter"))
    return create_app(Path(os.environ[DATABASE]), flavour, tokens=tokens)
