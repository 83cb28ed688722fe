"""Text for audio that an ended session left in the spool: asked for later, until all of it is answered or given up.

Live sessions transcribe through `connections`.
"""
