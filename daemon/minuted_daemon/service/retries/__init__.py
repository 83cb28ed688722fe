"""When to try again: one policy of delays for every link, and one gate in front of each engine that refuses.

Pure decisions and waiting; what a connection does belongs in `connections`.
"""
