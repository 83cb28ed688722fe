"""The merge at work in a session: inputs are fed, outputs become records, speakers are known again by voice.

Decisions about turns are in `core/merge`.
"""
