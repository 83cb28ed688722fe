"""Transactions that change the store: records, deletion, redaction, and the traces they leave.

Reading for clients belongs in `queries`.
"""
