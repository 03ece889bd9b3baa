"""Which versions there are, which of them answer, and how that changes while the server runs.

repository.py      all models: selects the version that answers, and brings what is loaded in line with the directory
model_versions.py  the same for one model
watcher.py         looks at the directory again and again
serving_plan.py    what the operator wants: pinned version, aliases, canary, shadow; a file beside the versions
plan_changes.py    promote, roll back, pin and the others, each as a change of that plan
quarantine.py      versions that may not serve, and why
entry.py           what is known of a version
routes.py          which loaded version answers a request
shadowing.py       what another version would have answered
"""
