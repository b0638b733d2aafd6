"""Invoke tasks: each parses its options, calls one workflow, and maps errors to exit codes.

Modules here import only invoke and the standard library when they are loaded, so that `invoke --list` stays fast;
workflows are imported inside the tasks.
"""

from invoke import Collection

from devstral_fleet.cli import bundling, deploying, fetching, imaging, lab, locking, looking, measuring, planning


def namespace() -> Collection:
    """Build the root collection: every verb at the top, and below `lock`, `lab` and `bundle` theirs."""
    root = Collection()
    for module in (planning, imaging, fetching, deploying, measuring, looking):
        for task in module.TASKS:
            root.add_task(task)
    root.add_collection(Collection("lock", *locking.TASKS))
    root.add_collection(Collection("lab", *lab.TASKS))
    root.add_collection(Collection("bundle", *bundling.TASKS))
    root.configure({"run": {"echo": False}})
    return root
