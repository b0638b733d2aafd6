"""Invoke tasks: each parses its options, calls one workflow, and maps errors to exit codes.

Modules here import only invoke and the standard library when they are loaded, so that `invoke --list` stays fast;
workflows are imported inside the tasks.
"""

from invoke import Collection

from devstral_fleet.cli import deploying, imaging, lab, locking, looking, measuring, planning


def namespace() -> Collection:
    """Build the root collection: every verb at the top, the lock's verbs below `lock`, the lab's below `lab`."""
    root = Collection()
    for module in (planning, imaging, deploying, measuring, looking):
        for task in module.TASKS:
            root.add_task(task)
    root.add_collection(Collection("lock", *locking.TASKS))
    root.add_collection(Collection("lab", *lab.TASKS))
    root.configure({"run": {"echo": False}})
    return root
