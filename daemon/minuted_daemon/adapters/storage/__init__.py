"""The minutes on disk: SQLite through SQLAlchemy. `store.open_store` is the way in."""
