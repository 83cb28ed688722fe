"""The way to a vendor: proxies, certificates, requests and WebSockets, and what a failure on the way means.

What a vendor answers is read in the vendor's own package.
"""
