"""The command line client of minuted. It speaks to the daemon through the SDK alone."""
