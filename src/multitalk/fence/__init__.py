"""Native code that reads what a caller sent, in a process from which little can be reached.

The parent starts a module by `running.run_fenced`: without environment, open files and terminal.
The module calls `entering.enter` when it has loaded what it needs, and before it reads what the
caller sent. Imports nothing else of this project.
"""
