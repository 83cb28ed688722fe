"""The command line client of minuted."""
