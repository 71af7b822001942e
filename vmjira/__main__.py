"""`python -m vmjira`."""

from vmjira.cli import main

if __name__ == "__main__":
    main()
