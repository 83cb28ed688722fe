"""The services of the contract, one file for each: a request is checked, the service is asked, the answer converted.

Statuses, budgets and sockets belong in the package above; decisions belong in `service`.
"""
