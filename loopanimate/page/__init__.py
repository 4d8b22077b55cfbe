"""The page: everything that only app.py needs."""
