"""Which texts look invented, judged from the text, the speech under it and the texts before.

Nothing is dropped here; a mark is all there is.
"""
