"""Which versions there are, which of them answer, and how that changes while the server runs.

serving_plan.py  what the operator wants: pinned version, aliases, canary, shadow; a file beside the versions
quarantine.py    versions that may not serve, and why
routes.py        which loaded version answers a request
"""
